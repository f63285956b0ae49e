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

from PIL import Image

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_id, read_text
from finetune.published import DataCard
from finetune.types import IMAGE_FORMATS, ImageBytes, Sample

_PICTURES = "train-00000-of-00001-cf54c241ba947306.parquet"
_QUESTIONS = "countbench_paired_questions.json"
_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class CountBenchQa(PublishedDataset):
    """Questions and counts of CountBenchQA.

    Args:
        root: Folder with train-00000-of-00001-cf54c241ba947306.parquet (huggingface.co/datasets/nielsr/countbench;
            pictures found on the web, no licence stated) and countbench_paired_questions.json
            (github.com/google-research/big_vision, datasets/countbenchqa/data; Apache 2.0).
        train_split, eval_split: The one split, test, or slices of it. It is not for training.
    """

    card = DataCard(
        title="CountBenchQA",
        homepage="https://huggingface.co/datasets/nielsr/countbench",
        licence="questions Apache 2.0, pictures without a stated licence",
        counts={_SPLIT: 490},
        counts_source="big_vision datasets/countbenchqa/countbenchqa.py: 491 pictures, one of them without colours",
    )
    splits = (_SPLIT,)

    train_split: str = _SPLIT
    eval_split: str = _SPLIT

    def _open_one(self, name: str) -> RowSource:
        pictures = self.annotations((_PICTURES, f"data/{_PICTURES}"))
        questions_path = self.annotations(_QUESTIONS)
        questions = [row.get("question") for row in read_json_list(questions_path)]
        found = _read_parquet(pictures)
        if len(questions) != len(found):
            raise ValueError(f"{questions_path} has {len(questions)} questions, {pictures} has {len(found)} rows")
        kept = {index: data for index, (_, data) in enumerate(found) if data is not None and _is_coloured(data)}
        rows = [{"index": index, "number": found[index][0], "question": questions[index]} for index in kept]
        reader = _Reader(file=pictures.name, pictures=kept)
        files = f"{questions_path.name} and {pictures.name}"
        return pack_rows(rows, read=reader, file=files, unit="row", id_key="index")


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
        table = pyarrow.parquet.read_table(path, columns=["number", "image"]).flatten()
        numbers, images = (table.column(name).to_pylist() for name in ("number", "image.bytes"))
    except (pyarrow.ArrowException, KeyError) as error:
        raise ValueError(f"{path} is no parquet file with number and image: {error}") from error
    return list(zip(numbers, images, strict=True))


def _is_coloured(data: bytes) -> bool:
    """Whether a picture has colours. One that cannot be read is taken to have some, and is refused when it is drawn."""
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as header:
            return len(header.getbands()) > 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return True
