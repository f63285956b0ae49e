"""The gradient of every array of the checkpoint against the original's. Imports without torch."""

from collections.abc import Mapping

import numpy as np

from finetune.verification.comparison import Comparison, norm, worst_of
from finetune.wording import counted

# Relative to each array's norm. Float32 itself comes near it where a layer norm has few channels: with an image encoder
# of 4, half a last bit on every weight moved one gradient by 2e-6 to 7e-6; this code was 9e-6 off, plain torch 2e-5.
_TOLERANCE = 1e-5
# An array whose gradient is this small a share of the whole is zero in exact arithmetic, and what both sides report is
# rounding: the softmax does not change when all its scores do, so the image encoder's key biases have no gradient.
# Seen: 2e-9 to 6e-8. Such arrays are compared with the whole gradient's norm instead of their own.
_ROUNDING = 1e-6


def compare_gradients(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Compare names, then values.

    Args:
        ours, theirs: By the names of the checkpoint's arrays.
    """
    found = [_compare_names(ours, theirs)]
    common = [name for name in theirs if name in ours]
    whole = float(np.sqrt(sum(norm(theirs[name]) ** 2 for name in common)))
    differences = {name: _difference(ours[name], theirs[name]) for name in common}
    vanishing = [name for name in common if norm(theirs[name]) <= _ROUNDING * whole]
    relative = {name: differences[name] / norm(theirs[name]) for name in common if name not in vanishing}
    if relative:
        found.append(_worst("gradients", "relative to its norm", relative, _TOLERANCE))
    if vanishing:
        shares = {name: differences[name] / whole if whole else differences[name] for name in vanishing}
        found.append(_worst("gradients that are 0 but for rounding", "relative to all gradients", shares, _ROUNDING))
    return found


def most_rounding(theirs: np.ndarray, whole: float) -> float:
    """Return the norm of what a gradient may differ by from the original's and still be the same one.

    Args:
        whole: The norm of all gradients.
    """
    return max(_TOLERANCE * norm(theirs), _ROUNDING * whole)


def _compare_names(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> Comparison:
    odd = sorted(ours.keys() ^ theirs.keys())
    return Comparison(
        quantity="arrays with a gradient",
        measure="missing or left over",
        found=float(len(odd)),
        tolerance=0,
        detail=", ".join(odd[:3]) if odd else f"all {len(theirs)} of the checkpoint",
    )


def _worst(quantity: str, measure: str, found: Mapping[str, float], tolerance: float) -> Comparison:
    name = worst_of(found)
    return Comparison(
        quantity=quantity,
        measure=measure,
        found=found[name],
        tolerance=tolerance,
        detail=f"{counted(len(found), 'array')}; worst: {name}",
    )


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return float(np.inf)
    return norm(ours.astype(np.float64) - theirs.astype(np.float64))
