"""Which kind of pair two files are, and its comparison. Imports without torch."""

from pathlib import Path

import numpy as np

from finetune.model.npz_checkpoint import is_paligemma
from finetune.model.npz_file import array_names
from finetune.verification.comparison import Comparison

CHECKPOINT, EXPECTED = "CHECKPOINT", "EXPECTED"
_TREES = ("params/", "opt/target/")


def check_pair(checkpoint: Path, expected: Path) -> str:
    """Tell what a pair is about from the names of its arrays: "model" or "mask codec".

    Raises:
        ValueError: If a file is missing, no .npz, or the two are no such pair.
    """
    names = array_names(checkpoint, setting=CHECKPOINT)
    expected_names = array_names(expected, setting=EXPECTED)
    bare = [name.removeprefix(tree) for tree in _TREES for name in names if name.startswith(tree)] or names
    if is_paligemma(bare):
        kind, is_about_it = "model", "logits" in expected_names
    elif _is_codec(names):
        kind, is_about_it = "mask codec", "logits" not in expected_names
    else:
        advice = "; the checkpoint comes first" if "logits" in names or "codes" in names else ""
        raise ValueError(f"CHECKPOINT: {checkpoint} holds the arrays of neither a PaliGemma nor a mask codec{advice}")
    if not is_about_it:
        raise ValueError(f"EXPECTED: {expected} does not belong to a {kind}'s checkpoint, which {checkpoint} is")
    return kind


def compare_pair(checkpoint: Path, expected: Path) -> tuple[Comparison, ...]:
    """Load the checkpoint as training would, and compare what it computes with everything that was expected.

    Raises:
        ValueError: As `check_pair`; or if an array cannot be read or is of another shape.
    """
    kind = check_pair(checkpoint, expected)
    arrays = _read_all(expected)
    if kind == "model":
        from finetune.verification.model import compare_model

        return compare_model(checkpoint, arrays)
    from finetune.verification.codec import compare_codec

    return compare_codec(checkpoint, arrays)


def _is_codec(names: list[str]) -> bool:
    from finetune.verification.codec import is_codec

    return is_codec(names)


def _read_all(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        try:
            return {name: arrays[name] for name in arrays.files}
        except ValueError as error:
            raise ValueError(f"{EXPECTED}: {path} cannot be read: {error}") from None
