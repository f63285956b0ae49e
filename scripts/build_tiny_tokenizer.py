"""Build the tokenizer of `model=tiny` into finetune/model/tiny_checkpoint: Gemma's rules over a small vocabulary.

    .venv/bin/python scripts/build_tiny_checkpoint.py [FOLDER]

The corpus is written below and drawn from a fixed seed, so the same versions of sentencepiece and transformers give the
same files. Ids follow the real order: pad, eos, bos, unk, pieces, 1024 <loc>, 128 <seg>, and <image> last.
"""

import argparse
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import sentencepiece as spm
from tokenizers import AddedToken
from transformers import GemmaTokenizer
from transformers.convert_slow_tokenizer import generate_merges

from finetune.tokens.tokenizer import IMAGE_TOKEN, LOCATION_TOKENS, SEGMENTATION_TOKENS

NUM_PIECES = 1152
NUM_SENTENCES = 12_000
FOLDER = Path(__file__).parent.parent / "finetune" / "model" / "tiny_checkpoint"
# What sentencepiece calls user-defined symbols: never split, never merged with a neighbour.
WHOLE_PIECES = ["<mask>", "\n"]

COLOURS = "red green blue yellow purple orange cyan pink brown black white gray"
SHAPES = "circle square triangle star cross hexagon rectangle diamond ring heart pentagon ellipse"
SIZES = "small large tiny big"
SURFACES = "plain shaded noisy striped red white black"
PLACES = ["left of", "right of", "above", "below", "next to", "on top of", "behind", "in front of", "between", "near"]
REGIONS = "top bottom left right center middle background foreground corner"
NUMBERS = "no zero one two three four five six seven eight nine ten"
CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor truck bench cup table book ball tree sign house street woman man boy girl RBC WBC Platelets"
)
VERBS = "stands sits runs lies walks plays holds looks"
LABELS = "yes no true false nothing unknown"
WORDS = "apple bird cloud door fish lamp moon river tree wolf star book hat key cake ship"
UPPERCASE = "STOP OPEN SALE EXIT NEWS CAFE BANK HOTEL TAXI PARK SHOP FOOD LEFT RIGHT TOTAL DATE NAME PRICE FREE HOME"


def sentences() -> Iterator[str]:
    """Yield captions, questions, answers, prefixes and words of the kinds that recipes say, in a fixed random order."""
    rng = random.Random(0)
    for _ in range(NUM_SENTENCES):
        yield rng.choice([_caption, _photo, _question, _answer, _prefix, _labels, _sign, _bill])(rng)


def _word(words: str, rng: random.Random) -> str:
    return rng.choice(words.split())


def _shape(rng: random.Random) -> str:
    size = f"{_word(SIZES, rng)} " if rng.random() < 0.6 else ""
    return f"{size}{_word(COLOURS, rng)} {_word(SHAPES, rng)}"


def _caption(rng: random.Random) -> str:
    opening = rng.choice(["a", "A", "there is a", "There is a", "an image of a", "a picture of a"])
    first, second = _shape(rng), _shape(rng)
    region = _word(REGIONS, rng)
    return rng.choice(
        [
            f"{opening} {first} {rng.choice(PLACES)} a {second}",
            f"{opening} {first} and a {second}.",
            f"{opening} {first} in the {region}, and the word {_word(UPPERCASE, rng)}",
            f"{_word(NUMBERS, rng)} {_word(COLOURS, rng)} {_word(SHAPES, rng)}s on a {_word(COLOURS, rng)} background",
            f"{_word(NUMBERS, rng)} shapes: {first}, {second} and {_shape(rng)}",
            f"nothing on a {_word(SURFACES, rng)} background",
            f"{opening} {first} on a {_word(SURFACES, rng)} background",
            f'{opening} {first} with the word "{_word(WORDS, rng)}"',
            f'an empty image with the words "{_word(WORDS, rng)}" and "{_word(WORDS, rng)}"',
        ]
    )


def _photo(rng: random.Random) -> str:
    first, second = _word(CLASSES, rng), _word(CLASSES, rng)
    colour = _word(COLOURS, rng)
    return rng.choice(
        [
            f"A {colour} {first} {_word(VERBS, rng)} next to the {second}.",
            f"a {first} {rng.choice(PLACES)} a {colour} {second}",
            f"two {first}s and a {second} in the {_word(REGIONS, rng)} of the photo",
        ]
    )


def _question(rng: random.Random) -> str:
    colour, shape = _word(COLOURS, rng), _word(SHAPES, rng)
    return "answer en " + rng.choice(
        [
            f"what color is the {shape}?",
            f"What colour is the {_word(SIZES, rng)} {shape}?",
            f"how many {shape}s are there?",
            f"How many {colour} shapes are in the image?",
            f"is there a {colour} {shape} in the picture?",
            f"is there an {_word('orange apple empty', rng)} {shape}?",
            "what word is written?",
            f"how many {_word('shapes crosses ellipses', rng)} are there?",
            f"Is the {colour} {shape} {rng.choice(PLACES)} the {_shape(rng)}?",
            f"what shape is {colour}?",
            f"which shape is the {_word('largest smallest', rng)}?",
            f"What is the {_word(CLASSES, rng)} doing?",
            f"what does the {_word('text sign word', rng)} say?",
            f"what is written in the image? where is the {shape}?",
        ]
    )


def _answer(rng: random.Random) -> str:
    return _word(" ".join([COLOURS, SHAPES, NUMBERS, LABELS, WORDS, WORDS]), rng)


def _prefix(rng: random.Random) -> str:
    labels = [_label(rng) for _ in range(rng.randint(1, 4))]
    return rng.choice(
        ["caption en", "ocr", f"detect {' ; '.join(labels)}", f"segment {' ; '.join(labels)}", "describe en", "count"]
    )


def _labels(rng: random.Random) -> str:
    return " ; ".join(f" {_label(rng)}" for _ in range(rng.randint(1, 4)))


def _label(rng: random.Random) -> str:
    return rng.choice([_word(CLASSES, rng), _word(SHAPES, rng), f"{_word(COLOURS, rng)} {_word(SHAPES, rng)}"])


def _sign(rng: random.Random) -> str:
    return rng.choice(["\n", " "]).join(_word(UPPERCASE, rng) for _ in range(rng.randint(1, 3)))


def _bill(rng: random.Random) -> str:
    return f"Total: {rng.randint(1, 9999)}.{rng.randint(0, 99):02d} ({rng.randint(1, 28)}/{rng.randint(1, 12)})!"


def train_pieces() -> bytes:
    """Train the pieces with the flags of Gemma's own tokenizer.model; return that file's content."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=sentences(),
        model_writer=model,
        model_type="bpe",
        vocab_size=NUM_PIECES,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        character_coverage=1.0,
        # Every printable ASCII character is a piece, whether or not the corpus uses it.
        required_chars="".join(chr(code) for code in range(33, 127)),
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        user_defined_symbols=WHOLE_PIECES,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def to_transformers(sentencepiece_model: bytes) -> GemmaTokenizer:
    """Return the same tokenizer in transformers' form, with the location, segmentation and image tokens added."""
    pieces = spm.SentencePieceProcessor(model_proto=sentencepiece_model)
    ids = range(pieces.get_piece_size())
    vocabulary = {pieces.id_to_piece(index): index for index in ids}
    scores = {
        pieces.id_to_piece(index): pieces.get_score(index)
        for index in ids
        if not (pieces.is_control(index) or pieces.is_unknown(index) or pieces.is_byte(index))
    }
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=generate_merges(vocabulary, scores))
    tokenizer.add_tokens([AddedToken(piece, normalized=True, special=False) for piece in WHOLE_PIECES])
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=False) for token in [*LOCATION_TOKENS, *SEGMENTATION_TOKENS]]
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    return tokenizer


def main() -> None:
    """Write tokenizer.model, tokenizer.json and tokenizer_config.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    model = train_pieces()
    (folder / "tokenizer.model").write_bytes(model)
    tokenizer = to_transformers(model)
    tokenizer.save_pretrained(folder)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    print(f"{folder}: {len(tokenizer)} tokens, of which {NUM_PIECES} pieces")


if __name__ == "__main__":
    main()
