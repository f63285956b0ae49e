"""Photographs in one folder, and the words of each in a text file of another folder.

ch4_test_images/img_1.jpg
Challenge4_Test_Task4_GT/gt_img_1.txt
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from datasets_adapters.paths import stored_size
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import find_folder
from datasets_adapters.published.question_rows import first_folder
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace
from finetune.data.image_folder import images_in
from finetune.types import Instance, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class WordFolders:
    """The folders of one split, seen from the data set's own.

    Args:
        words: Of these, the first that is there.
        prefix: What the name of a file of words starts with, before that of its photograph.
        archive: What to unpack where there are no photographs, and where to.
    """

    images: str
    words: tuple[str, ...]
    prefix: str
    archive: str


@dataclass(frozen=True, kw_only=True)
class WordFiles(PublishedDataset, ABC):
    """A data set of such files, with a training and a test split."""

    splits = ("train", "test")

    eval_split: str = "test"

    @abstractmethod
    def _folders(self, name: str) -> WordFolders:
        """Return the folders of a split."""

    @abstractmethod
    def _words(self, path: Path, image_size: tuple[int, int], place: RowPlace) -> Iterator[Instance | None]:
        """Yield the words of a file; None for one of which nothing lies in the photograph.

        Raises:
            BadSampleError: If the file holds something else.
        """

    def _open_one(self, name: str) -> RowSource:
        folders = self._folders(name)
        image_folder = find_folder(self.folder / folders.images, self.card)
        images = images_in(image_folder)
        if not images:
            raise ValueError(f"dataset.root: {image_folder} has no image; unpack {folders.archive}")
        words = first_folder(self.folder, folders.words)
        find_folder(self.folder / words, self.card)
        rows = (
            {
                "id": f"{name}/{image.stem}",
                "image": f"{folders.images}/{image.name}",
                "words": f"{words}/{folders.prefix}{image.stem}.txt",
            }
            for image in images
        )
        return pack_rows(rows, read=self._read, file=folders.images, unit="image", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        image = self.image(row["image"], "image", place)
        size = stored_size(image, "image", place)
        words_place = replace(place, origin=f"{row['words']}: image {place.sample_id}")
        words = self._words(self.file(row["words"], "words", place), size, words_place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(image,),
            image_size=size,
            instances=tuple(word for word in words if word is not None),
            notes=place.notes,
        )
