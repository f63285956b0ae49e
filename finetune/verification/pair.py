"""Which kind of pair two files are, and its comparison. Imports without torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune.model.npz_checkpoint import is_paligemma
from finetune.model.npz_file import array_names, tree_of
from finetune.verification.comparison import Comparison

CHECKPOINT, EXPECTED = "CHECKPOINT", "EXPECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two files that belong together.

    Args:
        kind: What they are about: "model" or "mask codec".
    """

    checkpoint: Path
    expected: Path
    kind: str


def recognise_pair(checkpoint: Path, expected: Path) -> Pair:
    """Tell what a pair is about from the names of its arrays.

    Raises:
        ValueError: If a file is missing, no .npz, or the two are no such pair.
    """
    names = array_names(checkpoint, setting=CHECKPOINT)
    expected_names = array_names(expected, setting=EXPECTED)
    tree = tree_of(names)
    if is_paligemma([name.removeprefix(tree) for name in names if name.startswith(tree)]):
        kind, is_about_it = "model", "logits" in expected_names
    elif _is_codec(names):
        kind, is_about_it = "mask codec", "logits" not in expected_names
    else:
        advice = "; the checkpoint comes first" if "logits" in names or "codes" in names else ""
        raise ValueError(f"CHECKPOINT: {checkpoint} holds the arrays of neither a PaliGemma nor a mask codec{advice}")
    if not is_about_it:
        raise ValueError(f"EXPECTED: {expected} does not belong to a {kind}'s checkpoint, which {checkpoint} is")
    return Pair(checkpoint=checkpoint, expected=expected, kind=kind)


def compare_pair(pair: Pair) -> tuple[Comparison, ...]:
    """Load the checkpoint as training would, and compare what it computes with everything that was expected.

    Raises:
        ValueError: If an array cannot be read, or is of another shape than its name says.
    """
    arrays = _read_all(pair.expected)
    if pair.kind == "model":
        from finetune.verification.model import compare_model

        return compare_model(pair.checkpoint, arrays)
    from finetune.verification.codec import compare_codec

    return compare_codec(pair.checkpoint, arrays)


def _is_codec(names: list[str]) -> bool:
    from finetune.verification.codec import is_codec

    return is_codec(names)


def _read_all(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        try:
            return {name: arrays[name] for name in arrays.files}
        except ValueError as error:
            raise ValueError(f"{EXPECTED}: {path} cannot be read: {error}") from None
