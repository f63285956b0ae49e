"""The gradient of every array of the checkpoint against the original's. Imports without torch."""

from collections.abc import Mapping

import numpy as np

from finetune.verification.comparison import Comparison, norm, worst_of

# Relative to each array's norm.
_TOLERANCE = 1e-5
# An array whose gradient is this small a share of the whole is zero in exact arithmetic, and what both sides report is
# rounding: the softmax does not change when all its scores do, so the image encoder's key biases have no gradient.
# Seen: 2e-9. Such arrays are compared with the whole gradient's norm instead of their own.
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
        detail=f"{len(found)} arrays; worst: {name}",
    )


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return float(np.inf)
    return norm(ours.astype(np.float64) - theirs.astype(np.float64))
