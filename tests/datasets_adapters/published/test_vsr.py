import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.vsr import Vsr
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "vsr"


@pytest.mark.parametrize("division", ["zeroshot", "random"])
def test_a_sentence_is_true_or_false_of_its_image(division: str) -> None:
    source = Vsr(root=str(ASSET)).open(f"{division}/train")
    assert len(source) == 3
    assert source[0].question == "The box is next to the ball."
    assert [source[index].answers for index in range(3)] == [("True",), ("False",), ("False",)]
    assert source[1].images[0].name == "images/000000009702.jpg"


def test_rows_have_no_ids_and_are_named_by_split_and_line() -> None:
    source = Vsr(root=str(ASSET)).open("zeroshot/train+zeroshot/dev")
    assert [source[index].sample_id for index in (0, 2, 3)] == [
        "zeroshot/train-1",
        "zeroshot/train-3",
        "zeroshot/dev-1",
    ]


def test_an_unknown_split_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ValueError, match="there is no split 'zeroshot/val'"):
        Vsr(root=str(ASSET)).open("zeroshot/val")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"splits/random/test.jsonl .*visual-spatial-reasoning"):
        Vsr(root=str(tmp_path)).open("random/test")


@pytest.mark.parametrize(
    ("change", "field_name"), [({"label": 2}, "label"), ({"image": None}, "image"), ({"caption": " "}, "caption")]
)
def test_a_broken_row_is_refused_by_file_and_line_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "splits" / "random" / "test.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(f"{json.dumps(json.loads(first) | change)}\n{second}\n")
    source = Vsr(root=str(root)).open("random/test")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert (refusal.value.origin, refusal.value.field_name) == ("test.jsonl: row random/test-1", field_name)
    assert source[1].answers == ("False",)
