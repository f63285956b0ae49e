"""CountBenchQA: CountBench's pictures of two to ten things (Paiss et al., 2023), with PaliGemma's questions about them.

    train-00000-of-00001-cf54c241ba947306.parquet   image (bytes or null), text, image_url, number
    countbench_paired_questions.json                [{"question"}], in the parquet file's order

About a tenth of the rows has no picture, and one has no colours: like the original, both are left out.

Source:
    big_vision datasets/countbenchqa/countbenchqa.py and its data folder (0127fb6); nielsr/countbench, card.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from PIL import Image

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_id, read_text
from finetune.types import IMAGE_FORMATS, DataCard, ImageBytes, Sample, Source

_PICTURES = "train-00000-of-00001-cf54c241ba947306.parquet"
_QUESTIONS = "countbench_paired_questions.json"
_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class CountBenchQa:
    """Questions and counts of CountBenchQA.

    Args:
        root: Folder with train-00000-of-00001-cf54c241ba947306.parquet (huggingface.co/datasets/nielsr/countbench;
            pictures found on the web, no licence stated) and countbench_paired_questions.json
            (github.com/google-research/big_vision, datasets/countbenchqa/data; Apache 2.0).
        train_split, eval_split: The one split, test, or slices of it. It is not for training.
    """

    card: ClassVar[DataCard] = DataCard(
        title="CountBenchQA",
        homepage="https://huggingface.co/datasets/nielsr/countbench",
        licence="questions Apache 2.0, pictures without a stated licence",
        counts={_SPLIT: 490},
        counts_source="big_vision datasets/countbenchqa/countbenchqa.py: 491 pictures, one of them without colours",
    )

    root: str
    train_split: str = _SPLIT
    eval_split: str = _SPLIT

    def open(self, split: str) -> Source:
        """Open the split or a slice of it.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, (_SPLIT,), self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        pictures = find_annotations(root, (_PICTURES, f"data/{_PICTURES}"), self.card)
        questions_path = find_annotations(root, _QUESTIONS, self.card)
        questions = [row.get("question") for row in read_json_list(questions_path)]
        found = _read_parquet(pictures)
        if len(questions) != len(found):
            raise ValueError(f"{questions_path} has {len(questions)} questions, {pictures} has {len(found)} rows")
        kept = {index: data for index, (_, data) in enumerate(found) if data is not None and _is_coloured(data)}
        rows = [{"index": index, "number": found[index][0], "question": questions[index]} for index in kept]
        reader = _Reader(file=pictures.name, pictures=kept)
        return pack_rows(rows, read=reader, file=pictures.name, unit="row", id_key="index")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """From a row to a sample, with the pictures in memory: all of them are some 20 MB."""

    file: str
    pictures: Mapping[int, bytes]

    def __call__(self, row: Row, place: RowPlace) -> Sample:
        index = row["index"]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageBytes(name=f"{self.file}: row {index}", data=self.pictures[index]),),
            question=read_text(row["question"], "question", place),
            answers=(read_id(row["number"], "number", place),),
        )


def _read_parquet(path: Path) -> list[tuple[object, bytes | None]]:
    """Return each row's number and the bytes of its picture, where it has one."""
    # As heavy as the data sets library, of which it is a part; needed for this file alone.
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        table = pyarrow.parquet.read_table(path, columns=["number", "image"])
        numbers, images = (table.column(name).to_pylist() for name in ("number", "image"))
    except (pyarrow.ArrowException, KeyError) as error:
        raise ValueError(f"{path} is no parquet file with number and image: {error}") from error
    return [(number, image and image["bytes"]) for number, image in zip(numbers, images, strict=True)]


def _is_coloured(data: bytes) -> bool:
    with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as header:
        return len(header.getbands()) > 1
