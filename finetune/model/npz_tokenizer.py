"""Which tokenizer belongs to an .npz, which holds none. Imports without torch."""

import re
from pathlib import Path

from finetune.tokens.tokenizer import Tokenizer

# The published tables: 256 000 pieces, 1024 locations, 128 segmentation codes.
PUBLISHED_SIZE = 257_152
_FILE = "tokenizer.json"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_tokenizer(npz: Path, given: str | None, *, vocabulary_size: int, embedded: Path) -> Path:
    """Return the folder whose tokenizer.json fits a table of `vocabulary_size` rows.

    Args:
        given: model.tokenizer: a folder, or a name on the hub, of which the tokenizer alone is downloaded; None: the
            file's own folder, else the embedded model's tokenizer where it has as many ids.
        embedded: The embedded model's tokenizer.

    Raises:
        ValueError: If there is none, or it has another number of ids than the table has rows.
    """
    folder = _folder(npz, given, vocabulary_size=vocabulary_size, embedded=embedded)
    found = Tokenizer.from_folder(folder).vocabulary_size
    if found != vocabulary_size:
        raise ValueError(
            f"model.tokenizer: {folder}/{_FILE} has {found} ids below <image>, the table of {npz} has "
            f"{vocabulary_size} rows; they come from different models"
        )
    return folder


def tokenizer_at_hand(npz: Path, *, vocabulary_size: int, embedded: Path) -> Path | None:
    """Return the folder of the tokenizer that `find_tokenizer` would take unasked; None where that one does not fit."""
    folder = npz.parent if (npz.parent / _FILE).is_file() else embedded
    return folder if Tokenizer.from_folder(folder).vocabulary_size == vocabulary_size else None


def is_hub_name(given: str) -> bool:
    """Tell whether a name is meant for the hub: owner/name, and no folder here."""
    return bool(_HUB_NAME.fullmatch(given)) and not Path(given).is_dir()


def _folder(npz: Path, given: str | None, *, vocabulary_size: int, embedded: Path) -> Path:
    if given is not None:
        return _given_folder(given)
    if (npz.parent / _FILE).is_file():
        return npz.parent
    if Tokenizer.from_folder(embedded).vocabulary_size == vocabulary_size:
        return embedded
    published = ", e.g. model.tokenizer=google/paligemma-3b-pt-224" if vocabulary_size == PUBLISHED_SIZE else ""
    raise ValueError(
        f"model.tokenizer: {npz} holds no tokenizer and has no {_FILE} beside it; set model.tokenizer to a folder that "
        f"holds one for {vocabulary_size} ids, or to a name on the hub{published}"
    )


def _given_folder(given: str) -> Path:
    if is_hub_name(given):
        from finetune.model.hub import download

        return download(given, None, with_weights=False).folder
    folder = Path(given)
    if not folder.is_dir():
        raise ValueError(f"model.tokenizer: there is no folder {given}, and it is no name on the hub (owner/name)")
    return folder
