"""The tiny tokenizer against sentencepiece, and the id layout that every PaliGemma shares."""

import json
import pickle
from pathlib import Path

import pytest
import sentencepiece as spm
from hypothesis import given
from hypothesis import strategies as st

from finetune.model.choices import TINY_TOKENIZER
from finetune.tokens.tokenizer import LOCATION_TOKENS, SEGMENTATION_TOKENS, Tokenizer

TOKENIZER = Tokenizer.from_folder(TINY_TOKENIZER)
PIECES = spm.SentencePieceProcessor(model_file=str(TINY_TOKENIZER / "tokenizer.model"))
WORDS = st.sampled_from(
    ["detect", "answer en", " ; ", "\n", "  ", "\t", "red circle", "STOP", "1024", "é", "中", "🙂", "▁"]
)
# <mask> is a piece of its own for sentencepiece; here it is text like any other control token.
TEXTS = (
    st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=12).map("".join).filter(lambda text: "<mask>" not in text)
)


@given(TEXTS)
def test_text_is_split_as_sentencepiece_splits_it(text: str) -> None:
    assert TOKENIZER.encode(text) == PIECES.encode(text)


@given(TEXTS.map(lambda text: text.replace("▁", "_").replace("\0", "")))
def test_decoding_gives_the_text_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_ids_follow_the_order_of_the_published_vocabulary() -> None:
    assert (TOKENIZER.pad_id, TOKENIZER.eos_id, TOKENIZER.bos_id) == (0, 1, 2)
    first = TOKENIZER.encode("<loc0000>")[0]
    assert first == PIECES.get_piece_size()
    assert TOKENIZER.encode("".join(LOCATION_TOKENS)) == list(range(first, first + 1024))
    assert TOKENIZER.encode("".join(SEGMENTATION_TOKENS)) == list(range(first + 1024, first + 1152))
    assert TOKENIZER.image_token_id == TOKENIZER.vocabulary_size == first + 1152
    assert TOKENIZER.encode("\n") == [TOKENIZER.newline_id]


def test_a_box_and_its_label_survive_the_round_trip() -> None:
    text = "<loc0012><loc0345><loc1023><loc0000> red circle ; <loc0001><loc0002><loc0003><loc0004><seg005><seg127> star"
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert len(TOKENIZER.encode("<loc0012><loc0345><loc1023><loc0000> circle")) == 5


def test_decoding_stops_at_the_first_eos_and_drops_control_tokens() -> None:
    red, blue = TOKENIZER.encode("red")[0], TOKENIZER.encode(" blue")[0]
    ids = [TOKENIZER.image_token_id, TOKENIZER.bos_id, red, TOKENIZER.pad_id, blue, TOKENIZER.eos_id, red]
    assert TOKENIZER.decode(ids) == "red blue"


@pytest.mark.parametrize("control", ["<image>", "<eos>", "<bos>", "<pad>", "<unk>"])
def test_control_tokens_written_in_a_sample_are_plain_text(control: str) -> None:
    ids = TOKENIZER.encode(f"a {control} b")
    assert TOKENIZER.decode(ids) == f"a {control} b"
    assert not {0, 1, 2, 3, TOKENIZER.image_token_id} & set(ids)


def test_a_copy_in_another_process_encodes_the_same() -> None:
    copy = pickle.loads(pickle.dumps(TOKENIZER))
    text = "detect star\n<loc0001> <eos>"
    assert copy.encode(text) == TOKENIZER.encode(text)


def test_pieces_are_named_for_people() -> None:
    assert TOKENIZER.piece(1) == "<eos>"
    with pytest.raises(ValueError, match="no id 1000000"):
        TOKENIZER.piece(1_000_000)


def _damaged(tmp_path: Path, change: dict[str, str]) -> Path:
    content = (TINY_TOKENIZER / "tokenizer.json").read_text(encoding="utf-8")
    for old, new in change.items():
        content = content.replace(old, new)
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    return tmp_path


def test_a_plain_gemma_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a plain Gemma's"):
        Tokenizer.from_folder(_damaged(tmp_path, {"<image>": "<unused>"}))


def test_swapped_location_tokens_are_refused_by_name(tmp_path: Path) -> None:
    folder = _damaged(tmp_path, {"<loc0007>": "<locX>", "<loc0008>": "<loc0007>", "<locX>": "<loc0008>"})
    with pytest.raises(ValueError, match="'<loc0007>' the id"):
        Tokenizer.from_folder(folder)


def test_moved_control_tokens_are_refused_by_name(tmp_path: Path) -> None:
    content = json.loads((TINY_TOKENIZER / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary["<eos>"], vocabulary["<bos>"] = vocabulary["<bos>"], vocabulary["<eos>"]
    swap = {"<eos>": 2, "<bos>": 1}
    for token in content["added_tokens"]:
        token["id"] = swap.get(token["content"], token["id"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="'<eos>' the id 2, a PaliGemma has 1"):
        Tokenizer.from_folder(tmp_path)


def test_a_folder_without_tokenizer_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)


def test_location_tokens_that_are_plain_pieces_are_still_one_id(tmp_path: Path) -> None:
    """The published vocabulary lists them among the pieces, not among the added tokens."""
    content = json.loads((TINY_TOKENIZER / "tokenizer.json").read_text(encoding="utf-8"))
    added = [token for token in content["added_tokens"] if token["content"].startswith(("<loc", "<seg"))]
    content["added_tokens"] = [token for token in content["added_tokens"] if token not in added]
    content["model"]["vocab"].update({token["content"]: token["id"] for token in added})
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert Tokenizer.from_folder(tmp_path).encode("<loc0003> a") == TOKENIZER.encode("<loc0003> a")


@pytest.mark.parametrize("content", ["", "[]", '{"version": "1.0"}', "[" * 200_000])
def test_a_file_that_is_no_tokenizer_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"^x\.json is no tokenizer \(.*copy it from the published checkpoint"):
        Tokenizer(content, origin="x.json")
