"""Total-Text (Ch'ng and Chan, 2017): words in photographs, many along a curve.

    Images/Train/img11.jpg, Images/Test/img1.jpg
    txt_format/Train/poly_gt_img11.txt   x: [[206 251 386]], y: [[633 811 931]], ornt: [u'c'], transcriptions: [u'OUT']

Coordinates may run over several lines; # as orientation or text marks a word that nobody could read.

Source:
    cs-chan/Total-Text-Dataset, Dataset/README.md and Groundtruth/Text/README.md; the words' form as loaders of the
    files (MMOCR's among them) read it.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder, find_file, stored_size
from datasets_adapters.published.question_rows import first_folder
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.words import read_word
from datasets_adapters.rows import RowPlace
from finetune.data.image_folder import images_in
from finetune.types import DataCard, ImageFile, Instance, Sample, Source

_SPLITS = {"train": "Train", "test": "Test"}
_WORD_FOLDERS = ("txt_format", "Polygon", "Groundtruth/Polygon")
_TEXT = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_WORD = re.compile(
    rf"x:\s*\[\[([^\]]*)\]\],\s*y:\s*\[\[([^\]]*)\]\],\s*ornt:\s*\[(?:{_TEXT})?\],\s*transcriptions:\s*\[{_TEXT}\]"
)
_UNREADABLE = "#"


@dataclass(frozen=True, kw_only=True)
class TotalText:
    """Words of Total-Text, each with the box around its polygon.

    Args:
        root: Folder with Images/Train, Images/Test (totaltext.zip) and txt_format/Train, txt_format/Test of
            poly_gt_*.txt (txt_format.zip, the polygons), from github.com/cs-chan/Total-Text-Dataset (BSD-3-Clause; not
            for commercial use without asking).
        train_split, eval_split: Of train and test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="Total-Text",
        homepage="https://github.com/cs-chan/Total-Text-Dataset",
        licence="BSD-3-Clause, for research",
        counts={"train": 1_255, "test": 300},
        counts_source="https://github.com/cs-chan/Total-Text-Dataset, README.md",
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
        folder = _SPLITS[name]
        images = images_in(existing_folder("dataset.root", root / "Images" / folder))
        if not images:
            raise ValueError(f"dataset.root: {root / 'Images' / folder} has no image; unpack totaltext.zip")
        words = first_folder(root, _WORD_FOLDERS)
        existing_folder("dataset.root", root / words / folder)
        rows = (
            {
                "id": f"{name}/{image.stem}",
                "image": f"Images/{folder}/{image.name}",
                "words": f"{words}/{folder}/poly_gt_{image.stem}.txt",
            }
            for image in images
        )
        return pack_rows(rows, read=self._read, file=f"Images/{folder}", unit="image", id_key="id")

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
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        place.refuse("words", "not-utf8", f"{path.name} is no text in UTF-8: {error}")
    matches = list(_WORD.finditer(content))
    if len(matches) != len(re.findall(r"transcriptions:", content)):
        place.refuse("words", "unknown-form", f"{path.name} has words that are not x: [[…]], y: [[…]], ornt: […], …")
    found = [_word(match, image_size, f"words[{index}]", place) for index, match in enumerate(matches)]
    return tuple(word for word in found if word is not None)


def _word(match: re.Match[str], image_size: tuple[int, int], field_name: str, place: RowPlace) -> Instance | None:
    xs, ys, orientation, text = match.groups()
    try:
        points = [(float(x), float(y)) for x, y in zip(xs.split(), ys.split(), strict=True)]
        words = [ast.literal_eval(quoted) for quoted in (orientation or "''", text)]
    except (ValueError, SyntaxError):
        points, words = [], []
    if not points:
        place.refuse(field_name, "unknown-form", "must have as many x as y, and a word in quotes")
    return read_word(None if _UNREADABLE in words else words[1], points, image_size, field_name, place)
