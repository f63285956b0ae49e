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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.published.files import read_utf8
from datasets_adapters.published.word_files import WordFiles, WordFolders
from datasets_adapters.published.words import read_word
from datasets_adapters.rows import RowPlace
from finetune.published import DataCard
from finetune.types import Instance

_WORD_FOLDERS = ("txt_format", "Polygon", "Groundtruth/Polygon")
_TEXT = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_WORD = re.compile(
    rf"x:\s*\[\[([^\]]*)\]\],\s*y:\s*\[\[([^\]]*)\]\],\s*ornt:\s*\[(?:{_TEXT})?\],\s*transcriptions:\s*\[{_TEXT}\]"
)
_UNREADABLE = "#"


@dataclass(frozen=True, kw_only=True)
class TotalText(WordFiles):
    """Words of Total-Text, each with the box around its polygon.

    Args:
        root: Folder with Images/Train, Images/Test (totaltext.zip) and txt_format/Train, txt_format/Test of
            poly_gt_*.txt (txt_format.zip, the polygons), from github.com/cs-chan/Total-Text-Dataset (BSD-3-Clause; not
            for commercial use without asking).
        train_split, eval_split: Of train and test, or slices and sums of them.
    """

    card = DataCard(
        title="Total-Text",
        homepage="https://github.com/cs-chan/Total-Text-Dataset",
        licence="BSD-3-Clause, for research",
        counts={"train": 1_255, "test": 300},
        counts_source="https://github.com/cs-chan/Total-Text-Dataset, README.md",
    )

    def _folders(self, name: str) -> WordFolders:
        folder = name.capitalize()
        return WordFolders(
            images=f"Images/{folder}",
            words=tuple(f"{words}/{folder}" for words in _WORD_FOLDERS),
            prefix="poly_gt_",
            archive="totaltext.zip",
        )

    def _words(self, path: Path, image_size: tuple[int, int], place: RowPlace) -> Iterator[Instance | None]:
        content = read_utf8(path, "words", place)
        matches = list(_WORD.finditer(content))
        if len(matches) != len(re.findall(r"transcriptions:", content)):
            message = f"{path.name} has words that are not x: [[…]], y: [[…]], ornt: […], …"
            place.refuse("words", "unknown-form", message)
        for index, match in enumerate(matches):
            yield _word(match, image_size, f"words[{index}]", place)


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
