"""ICDAR 2015's incidental scene text (Karatzas et al., 2015): words in photographs taken in passing.

    ch4_training_images/img_1.jpg
    ch4_training_localization_transcription_gt/gt_img_1.txt   377,117,463,117,465,130,378,130,Genaxis Theatre
    ch4_test_images/img_1.jpg
    Challenge4_Test_Task4_GT/gt_img_1.txt

A line has four corners and a word, which may hold commas; ### is one that nobody could read. Files begin with a BOM.

Source:
    https://rrc.cvc.uab.es/?ch=4&com=downloads (challenge 4, task 4), as loaders of the files read them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder, find_file, stored_size
from datasets_adapters.published.question_rows import first_folder
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.words import UNREADABLE, read_word
from datasets_adapters.rows import RowPlace, quote
from finetune.data.image_folder import images_in
from finetune.types import DataCard, ImageFile, Instance, Sample, Source

# The folder of images, and those of words: tasks 1 and 4 have archives of their own with the same test words.
_SPLITS = {
    "train": ("ch4_training_images", ("ch4_training_localization_transcription_gt",)),
    "test": ("ch4_test_images", ("Challenge4_Test_Task4_GT", "Challenge4_Test_Task1_GT")),
}


@dataclass(frozen=True, kw_only=True)
class Icdar15:
    """Words of ICDAR 2015's incidental scene text.

    Args:
        root: Folder with ch4_training_images, ch4_training_localization_transcription_gt, ch4_test_images and
            Challenge4_Test_Task4_GT, each the content of the archive of that name, from
            rrc.cvc.uab.es/?ch=4&com=downloads (after registration; CC BY 4.0).
        train_split, eval_split: Of train and test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="ICDAR 2015 Incidental Scene Text",
        homepage="https://rrc.cvc.uab.es/?ch=4&com=downloads",
        licence="CC BY 4.0",
        counts={"train": 1_000, "test": 500},
        counts_source="https://rrc.cvc.uab.es/?ch=4&com=tasks",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "test"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a folder is missing or empty, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        image_name, word_names = _SPLITS[name]
        image_folder = existing_folder("dataset.root", root / image_name)
        word_folder = existing_folder("dataset.root", root / first_folder(root, word_names))
        images = images_in(image_folder)
        if not images:
            raise ValueError(f"dataset.root: {image_folder} has no image; unpack {image_folder.name}.zip into it")
        rows = (
            {
                "id": f"{name}/{image.stem}",
                "image": f"{image_folder.name}/{image.name}",
                "words": f"{word_folder.name}/gt_{image.stem}.txt",
            }
            for image in images
        )
        return pack_rows(rows, read=self._read, file=image_folder.name, unit="image", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        root = Path(self.root)
        image = ImageFile(name=row["image"], path=find_file(root, row["image"], "image", place))
        size = stored_size(image, "image", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(image,),
            image_size=size,
            instances=_words(find_file(root, row["words"], "words", place), size, place),
            notes=place.notes,
        )


def _words(path: Path, image_size: tuple[int, int], place: RowPlace) -> tuple[Instance, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        place.refuse("words", "not-utf8", f"{path.name} is no text in UTF-8: {error}")
    found = [_word(line, image_size, f"words[{index}]", place) for index, line in enumerate(lines) if line.strip()]
    return tuple(word for word in found if word is not None)


def _word(line: str, image_size: tuple[int, int], field_name: str, place: RowPlace) -> Instance | None:
    *corners, text = line.split(",", 8)
    try:
        numbers = [float(corner) for corner in corners]
    except ValueError:
        numbers = []
    if len(numbers) != 8:
        place.refuse(
            field_name, "wrong-type", f"must be four corners and a word, as x1,y1,…,y4,word, got {quote(line)}"
        )
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    return read_word(None if text == UNREADABLE else text, points, image_size, field_name, place)
