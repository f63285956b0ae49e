"""ICDAR 2015's incidental scene text (Karatzas et al., 2015): words in photographs taken in passing.

    ch4_training_images/img_1.jpg
    ch4_training_localization_transcription_gt/gt_img_1.txt   377,117,463,117,465,130,378,130,Genaxis Theatre
    ch4_test_images/img_1.jpg
    Challenge4_Test_Task4_GT/gt_img_1.txt

A line has four corners and a word, which may hold commas; ### is one that nobody could read. Files begin with a BOM.

Source:
    https://rrc.cvc.uab.es/?ch=4&com=downloads (challenge 4, task 4), as loaders of the files read them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.published.files import read_utf8
from datasets_adapters.published.word_files import WordFiles, WordFolders
from datasets_adapters.published.words import UNREADABLE, read_word
from datasets_adapters.rows import RowPlace, quote
from finetune.published import DataCard
from finetune.types import Instance


@dataclass(frozen=True, kw_only=True)
class Icdar15(WordFiles):
    """Words of ICDAR 2015's incidental scene text.

    Args:
        root: Folder with ch4_training_images, ch4_training_localization_transcription_gt, ch4_test_images and
            Challenge4_Test_Task4_GT, each the content of the archive of that name, from
            rrc.cvc.uab.es/?ch=4&com=downloads (after registration; CC BY 4.0).
        train_split, eval_split: Of train and test, or slices and sums of them.
    """

    card = DataCard(
        title="ICDAR 2015 Incidental Scene Text",
        homepage="https://rrc.cvc.uab.es/?ch=4&com=downloads",
        licence="CC BY 4.0",
        counts={"train": 1_000, "test": 500},
        counts_source="https://rrc.cvc.uab.es/?ch=4&com=tasks",
    )

    def _folders(self, name: str) -> WordFolders:
        images = {"train": "ch4_training_images", "test": "ch4_test_images"}[name]
        # Tasks 1 and 4 have archives of their own with the same test words.
        words = {
            "train": ("ch4_training_localization_transcription_gt",),
            "test": ("Challenge4_Test_Task4_GT", "Challenge4_Test_Task1_GT"),
        }[name]
        return WordFolders(images=images, words=words, prefix="gt_", archive=f"{images}.zip into it")

    def _words(self, path: Path, image_size: tuple[int, int], place: RowPlace) -> Iterator[Instance | None]:
        for index, line in enumerate(read_utf8(path, "words", place).splitlines()):
            if line.strip():
                yield _word(line, image_size, f"words[{index}]", place)


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
