"""What every published data set has: a folder of the user's, splits by name, a card, and images that rows name."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import find_file
from datasets_adapters.published.files import find_annotations, find_folder
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace
from finetune.published import DataCard
from finetune.types import ImageFile, Source


@dataclass(frozen=True, kw_only=True)
class PublishedDataset:
    """A data set as its authors publish it. Each gives its `card`, its `splits`, and how one of them is opened.

    Its own docstring says of `root` what lies there, where it is to be had and under which licence: whoever gives none
    is told so.

    Args:
        root: Folder of the authors' files.
        train_split, eval_split: Of `splits`, or slices and sums of them.
    """

    card: ClassVar[DataCard]
    splits: ClassVar[Collection[str]] = ("train", "val", "test")

    root: str
    train_split: str = "train"
    eval_split: str = "val"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file or a folder is missing or is another one, or the split is not known.
        """
        return open_split(split, self.splits, self._opener())

    def _opener(self) -> Callable[[str], Source]:
        """Return what opens one split whole.

        Each `open` asks for its own, which may keep a file that several splits stand in; else `_open_one` will do.
        """
        return self._open_one

    def _open_one(self, name: str) -> Source:
        raise NotImplementedError(f"{type(self).__name__} opens a split neither here nor by an opener of its own")

    @property
    def folder(self) -> Path:
        """The folder that `root` names.

        Raises:
            ValueError: If it is not there, saying where the data set is to be had.
        """
        return find_folder(Path(self.root), self.card)

    def annotations(self, names: str | Sequence[str]) -> Path:
        """Return the first of `names` that is a file under `root`.

        Raises:
            ValueError: If none is there, saying where the data set is to be had.
        """
        return find_annotations(self.folder, names, self.card)

    def file(self, name: str, field_name: str, place: RowPlace) -> Path:
        """Return the file that a row names, seen from `root`.

        Raises:
            BadSampleError: If the name leads out of the folder, or no such file is there.
        """
        return find_file(Path(self.root), name, field_name, place)

    def image(self, name: str, field_name: str, place: RowPlace) -> ImageFile:
        """Return the image that a row names, undecoded. Raises as `file`."""
        return ImageFile(name=name, path=self.file(name, field_name, place))
