"""A checkpoint of the original, known by its headers alone. Imports without torch."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from finetune.model.npz_dimensions import Dimensions, read_dimensions
from finetune.model.npz_file import NpzFile, open_npz
from finetune.model.npz_layout import array_rules
from finetune.settings import Precision
from finetune.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzCheckpoint:
    """A file whose arrays are exactly those of a PaliGemma of these dimensions."""

    file: NpzFile
    dimensions: Dimensions

    @property
    def formats(self) -> dict[str, Precision]:
        """The format of every array, by its name without `params/`."""
        return {name: array.dtype for name, array in self.file.arrays.items()}


def is_paligemma(names: Collection[str]) -> bool:
    """Tell whether arrays of such names, without `params/`, are meant to be a PaliGemma."""
    return any(name.startswith("img/") for name in names) and any(name.startswith("llm/") for name in names)


def inspect_npz(path: Path, *, setting: str) -> NpzCheckpoint:
    """Read the headers and check every name and shape.

    Args:
        setting: What messages call the file, such as "model.path".

    Raises:
        ValueError: If an array is missing, left over or of another shape than the others say, by name.
    """
    file = open_npz(path, setting=setting)
    if not is_paligemma(file.arrays):
        raise ValueError(
            f"{setting}: {path} holds no PaliGemma: none of its arrays, such as {_listed(sorted(file.arrays))}, is "
            "under img/ and llm/, where the original keeps the image encoder and the decoder"
        )
    shapes = {name: array.shape for name, array in file.arrays.items()}
    try:
        dimensions = read_dimensions(shapes)
    except ValueError as error:
        raise ValueError(f"{setting}: {path}: {error}") from None
    expected = {rule.array: rule.shape for rule in array_rules(dimensions)}
    problems = {
        "missing": sorted(expected.keys() - shapes.keys()),
        "not part of such a PaliGemma": sorted(shapes.keys() - expected.keys()),
        "of another shape than the others say": [
            f"{name} {shapes[name]}, not {shape}"
            for name, shape in expected.items()
            if shapes.get(name, shape) != shape
        ],
    }
    for problem, names in problems.items():
        if names:
            verb = "is" if len(names) == 1 else "are"
            raise ValueError(f"{setting}: {path}: {counted(len(names), 'array')} {verb} {problem}: {_listed(names)}")
    _check_heads(dimensions, path, setting)
    return NpzCheckpoint(file=file, dimensions=dimensions)


def _check_heads(dimensions: Dimensions, path: Path, setting: str) -> None:
    if dimensions.vision_width % dimensions.vision_heads:
        raise ValueError(
            f"{setting}: {path}: the image encoder is {dimensions.vision_width} wide, which {dimensions.vision_heads} "
            "heads cannot share"
        )
    if dimensions.decoder_heads % dimensions.decoder_key_heads:
        raise ValueError(
            f"{setting}: {path}: {dimensions.decoder_heads} query heads cannot share "
            f"{dimensions.decoder_key_heads} key heads"
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"
