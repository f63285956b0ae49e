"""Rows of a question, its answers and one image, as the Robust Reading Competition and those after it write them.

    {"questionId": 337, "question": "what is the date?", "image": "documents/xnbl0037_1.png", "answers": ["1/8/93"]}

Where answers are hidden, the field is left out.
"""

from collections.abc import Sequence
from pathlib import Path

from datasets_adapters.paths import find_file
from datasets_adapters.published.rows import Row, public_id
from datasets_adapters.rows import RowPlace, optional_texts, read_text
from finetune.types import ImageReference, Sample


def read_question(row: Row, place: RowPlace, *, image: ImageReference, id_key: str) -> Sample:
    """Read one question.

    Raises:
        BadSampleError: If it lacks its id or its text, or its answers are no texts.
    """
    identifier = public_id(row, id_key, place)
    return Sample(
        sample_id=place.sample_id,
        origin=place.origin,
        images=(image,),
        question=read_text(row.get("question"), "question", place),
        answers=optional_texts(row, "answers", place),
        public_id=identifier,
    )


def first_folder(root: Path, names: Sequence[str]) -> str:
    """Return the first of `names` that is a folder under `root`; the first of all where none is."""
    return next((name for name in names if (root / name).is_dir()), names[0])


def first_file(root: Path, names: Sequence[str], field_name: str, place: RowPlace) -> Path:
    """Return the first of `names` that is a file under `root`.

    Raises:
        BadSampleError: If none is, as `find_file` says it of the first.
    """
    name = next((name for name in names if (root / name).is_file()), names[0])
    return find_file(root, name, field_name, place)
