"""The arrays of EXPECTED, refused by name where they are not what they are called. Imports without torch."""

from collections.abc import Mapping

import numpy as np

from finetune.model.npz_file import tree_of

_NUMBERS, _TEXTS = "biuf", "U"


def numbers(arrays: Mapping[str, np.ndarray], name: str, *axes: int | str) -> np.ndarray:
    """Return an array of numbers.

    Args:
        axes: What it must have: a length, or the name of an axis of any length; none: it is one number.

    Raises:
        ValueError: If it is missing, holds no numbers or is of another shape.
    """
    return _checked(arrays, name, axes, _NUMBERS, "numbers")


def texts(arrays: Mapping[str, np.ndarray], name: str, *axes: int | str) -> np.ndarray:
    """Return an array of texts. Args and raises as `numbers`."""
    return _checked(arrays, name, axes, _TEXTS, "texts")


def without_tree(names: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays by their names without `params/` or `opt/target/`, as a checkpoint's are called."""
    tree = tree_of(names)
    return {name.removeprefix(tree): array for name, array in names.items()}


def _checked(
    arrays: Mapping[str, np.ndarray], name: str, axes: tuple[int | str, ...], kinds: str, content: str
) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"EXPECTED holds no array {name}")
    array = arrays[name]
    is_right = (
        array.dtype.kind in kinds
        and array.ndim == len(axes)
        and all(axis == size or isinstance(axis, str) for axis, size in zip(axes, array.shape, strict=True))
    )
    if not is_right:
        raise ValueError(
            f"EXPECTED: {name} must be {content} of the shape [{', '.join(map(str, axes))}], got "
            f"{list(array.shape)} of {array.dtype}"
        )
    return array
