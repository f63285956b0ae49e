"""Images named on the command line of `finetune predict`, as a source of samples. Imports without torch."""

import glob
from dataclasses import dataclass
from pathlib import Path

from finetune.config.commands import PredictCommand
from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient, Mixture
from finetune.types import BadSampleError, ImageFile, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenImages:
    """One sample for each image, with what the user said about all of them.

    Args:
        label_set: What the run's data set knows, for prefixes that name labels.
    """

    paths: tuple[Path, ...]
    prefix: str | None
    question: str | None
    label_set: tuple[str, ...]

    @property
    def block_size(self) -> int | None:
        """Files are read in any order."""
        return None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        path = self.paths[index]
        return Sample(
            sample_id=str(path),
            origin=str(path),
            images=(ImageFile(name=str(path), path=path),),
            label_set=self.label_set,
            question=self.question,
            prefix=self.prefix,
        )


def ingredients_of(config: RunConfig, command: PredictCommand) -> tuple[Ingredient, ...]:
    """Return the images that were given, for the run's one recipe.

    Raises:
        ValueError: If a file is not there, or the run has several recipes.
    """
    if isinstance(config.recipe, Mixture):
        raise ValueError("images: a mixture has several recipes; choose one of them with recipe=<choice>")
    source = GivenImages(
        paths=tuple(path for pattern in command.images for path in _matches(pattern)),
        prefix=command.prefix,
        question=command.question,
        label_set=() if command.prefix is not None else _known_labels(config),
    )
    return (Ingredient(name="", source=source, recipe=config.recipe),)


def _matches(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        raise ValueError(f"images: {pattern} is a folder; give a pattern, such as 'images=[{pattern}/*.jpg]'")
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    if not found:
        raise ValueError(f"images: there is no file {pattern}")
    return found


def _known_labels(config: RunConfig) -> tuple[str, ...]:
    """Return the labels of the run's data set; none where the set is not at hand, as a recipe may need none."""
    try:
        return config.dataset.open(config.dataset.train_split)[0].label_set  # type: ignore[no-any-return]
    except (ValueError, BadSampleError):
        return ()
