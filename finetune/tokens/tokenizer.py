"""Text to ids and back, with the id layout that every PaliGemma shares:

pad 0, eos 1, bos 2, unk 3, … pieces … | <loc0000> … <loc1023> | <seg000> … <seg127> | <image> | unused rows
"""

from collections.abc import Sequence
from pathlib import Path

import tokenizers

LOCATION_TOKENS = tuple(f"<loc{index:04d}>" for index in range(1024))
SEGMENTATION_TOKENS = tuple(f"<seg{index:03d}>" for index in range(128))
IMAGE_TOKEN = "<image>"
_FIRST_IDS = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}


class Tokenizer:
    """The tokenizer of a PaliGemma. Picklable: loader processes get their own copy.

    Args:
        content: The text of a Hugging Face `tokenizer.json`.
        origin: What messages call it, usually the path.

    Raises:
        ValueError: If the vocabulary is not laid out as a PaliGemma's, naming the token that is out of place.
    """

    pad_id = 0
    eos_id = 1
    bos_id = 2

    def __init__(self, content: str, *, origin: str) -> None:
        self._content = content
        self._origin = origin
        self._backend = _parse(content, origin)
        _check_layout(self._backend, origin)
        # Published vocabularies list these among the pieces, where merges alone would not always form them.
        self._backend.add_tokens(
            [tokenizers.AddedToken(token, normalized=False) for token in (*LOCATION_TOKENS, *SEGMENTATION_TOKENS)]
        )
        # As in the original, "<eos>" or "<image>" written in a sample is text and never the control token.
        self._backend.encode_special_tokens = True
        self._backend.no_truncation()
        self._backend.no_padding()

    @classmethod
    def from_folder(cls, folder: Path) -> "Tokenizer":
        """Read `tokenizer.json` from a folder in Hugging Face layout.

        Raises:
            ValueError: If the file is missing, or the vocabulary is not laid out as a PaliGemma's.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ValueError(
                f"{folder} holds no tokenizer.json; copy it from the published checkpoint of the same model"
            )
        return cls(path.read_text(encoding="utf-8"), origin=str(path))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self._content, self._origin)

    @property
    def image_token_id(self) -> int:
        """The placeholder that stands where an image's tokens go."""
        return self._id_of(IMAGE_TOKEN)

    @property
    def newline_id(self) -> int:
        """The one piece between prefix and suffix."""
        return self._id_of("\n")

    @property
    def vocabulary_size(self) -> int:
        """How many ids text can have: every id below the image placeholder's. The model's table has some more rows."""
        return self.image_token_id

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text` alone, without BOS and EOS. `<loc0012>` is one id."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text up to the first EOS. Padding, BOS and image placeholders are dropped; locations stay."""
        kept = []
        for index in ids:
            if index == self.eos_id:
                break
            if index not in (self.pad_id, self.bos_id, self.image_token_id):
                kept.append(index)
        text: str = self._backend.decode(kept, skip_special_tokens=False)
        return text

    def piece(self, token_id: int) -> str:
        """Return one id as a person would read it, such as `▁cat` or `<eos>`.

        Raises:
            ValueError: If the vocabulary has no such id.
        """
        piece: str | None = self._backend.id_to_token(token_id)
        if piece is None:
            raise ValueError(f"the vocabulary has no id {token_id}")
        return piece

    def _id_of(self, token: str) -> int:
        index = self._backend.token_to_id(token)
        assert index is not None, f"{token!r} was there when the layout was checked"
        return index


def _rebuild(content: str, origin: str) -> Tokenizer:
    return Tokenizer(content, origin=origin)


def _parse(content: str, origin: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(content)
    # The parser knows no narrower one.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{origin} is no tokenizer ({reason}); copy it from the published checkpoint") from None


def _check_layout(backend: tokenizers.Tokenizer, origin: str) -> None:
    """Refuse a vocabulary in which an id would mean something else than in the original."""
    first_location = backend.token_to_id(LOCATION_TOKENS[0])
    if first_location is None or backend.token_to_id(IMAGE_TOKEN) is None:
        raise ValueError(
            f"{origin} has no <loc0000> or no <image>; a PaliGemma's tokenizer is needed, not a plain Gemma's"
        )
    expected = dict(_FIRST_IDS)
    for offset, token in enumerate((*LOCATION_TOKENS, *SEGMENTATION_TOKENS, IMAGE_TOKEN)):
        expected[token] = first_location + offset
    for token, index in expected.items():
        found = backend.token_to_id(token)
        if found != index:
            raise ValueError(
                f"{origin} gives {token!r} the id {found}, a PaliGemma has {index}: "
                "locations, segmentation codes and <image> follow one another, in this order"
            )
    if backend.encode("\n", add_special_tokens=False).ids != [backend.token_to_id("\n")]:
        raise ValueError(f"{origin} splits the newline that separates prefix and suffix; it must be one token")
