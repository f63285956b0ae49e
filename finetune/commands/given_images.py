"""Images named on the command line of `finetune predict`, as a source of samples. Imports without torch."""

import glob
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.config.commands import PredictCommand
from finetune.config.schema import RunConfig
from finetune.data.image_folder import images_in
from finetune.data.mixture import Ingredient, Mixture
from finetune.types import BadSampleError, ImageFile, Recipe, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenImages:
    """One sample for each image or folder of images, with what the user said about all of them.

    Args:
        paths: Image files; and folders whose images are shown together, in the order of their numbers.
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
            images=tuple(ImageFile(name=str(file), path=file) for file in _files_of(path)),
            label_set=self.label_set,
            question=self.question,
            prefix=self.prefix,
        )


def ingredients_of(config: RunConfig, command: PredictCommand) -> tuple[Ingredient, ...]:
    """Return the images that were given, for the run's one recipe.

    Raises:
        ValueError: If a file is not there, if images must come in folders or must not, or the run has several recipes.
    """
    if isinstance(config.recipe, Mixture):
        raise ValueError("images: a mixture has several recipes; choose one of them with recipe=<choice>")
    source = GivenImages(
        paths=tuple(path for pattern in command.images for path in _matches(pattern, config.data.num_images)),
        prefix=command.prefix,
        question=command.question,
        label_set=(),
    )
    if command.prefix is None:
        try:
            source = replace(source, label_set=_known_labels(config))
        except (ValueError, BadSampleError) as error:
            # Most recipes need no labels.
            _require_without_labels(config.recipe, source, reason=str(error))
    return (Ingredient(name="", source=source, recipe=config.recipe),)


def _require_without_labels(recipe: Recipe, source: GivenImages, *, reason: str) -> None:
    """Refuse a recipe that asks for labels which the run's data set would name if it could be read."""
    try:
        recipe.ask(source[0])
    except BadSampleError as error:
        if error.code == "missing-labels":
            raise ValueError(f"{error.message}; the run's own data set cannot be asked: {reason}") from None


def _matches(pattern: str, num_images: int | None) -> list[Path]:
    """Return the files that a name or a pattern stands for, or the folders where examples have several images."""
    path = Path(pattern).expanduser()
    found = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    if num_images is not None and num_images > 1:
        return _folders(pattern, found, num_images)
    if path.is_dir():
        advice = f"give a pattern, such as 'images=[{pattern}/*.jpg]', or data.num_images if it is one example"
        raise ValueError(f"images: {pattern} is a folder; {advice}")
    if files := [one for one in found if one.is_file()]:
        return files
    raise ValueError(f"images: there is no file {pattern}")


def _folders(pattern: str, found: list[Path], num_images: int) -> list[Path]:
    folders = [one for one in found if one.is_dir()]
    if not folders:
        problem = f"{pattern} is no folder" if found else f"there is no folder {pattern}"
        raise ValueError(f"images: {problem}; with data.num_images={num_images} an example is a folder of images")
    for folder in folders:
        if not images_in(folder):
            raise ValueError(f"images: the folder {folder} holds no image")
    return folders


def _files_of(path: Path) -> list[Path]:
    return images_in(path) if path.is_dir() else [path]


def _known_labels(config: RunConfig) -> tuple[str, ...]:
    """Return the labels of the run's data set.

    Raises:
        ValueError: If the set is not at hand.
        BadSampleError: If its first sample cannot be read.
    """
    return config.dataset.open(config.dataset.train_split)[0].label_set  # type: ignore[no-any-return]
