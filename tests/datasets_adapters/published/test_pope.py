import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.pope import Pope
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "pope"


def test_a_question_has_a_yes_or_a_no() -> None:
    source = Pope(root=str(ASSET)).open("popular")
    assert [source[index].answers for index in (0, 1)] == [("yes",), ("no",)]
    assert source[1].question == "Is there a chair in the image?"
    assert source[1].images[0].name == "val2014/COCO_val2014_000000009601.jpg"


def test_the_three_sets_number_their_questions_alike_and_stay_apart() -> None:
    dataset = Pope(root=str(ASSET))
    source = dataset.open(dataset.eval_split)
    samples = [source[index] for index in range(len(source))]
    assert [sample.category for sample in samples[::2]] == ["random", "popular", "adversarial"]
    assert len({sample.sample_id for sample in samples}) == 6


def test_the_files_may_lie_where_the_repository_has_them(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    (root / "output" / "coco").mkdir(parents=True)
    shutil.move(root / "coco_pope_random.json", root / "output" / "coco")
    assert len(Pope(root=str(root)).open("random")) == 2


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'test'"):
        Pope(root=str(ASSET)).open("test")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"coco_pope_random.json .*github.com/AoiDragon/POPE"):
        Pope(root=str(tmp_path)).open("random")


@pytest.mark.parametrize(
    ("change", "field_name"), [({"label": None}, "label"), ({"image": "x.jpg"}, "image"), ({"text": ""}, "text")]
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "coco_pope_random.json"
    first, second = path.read_text().splitlines()
    path.write_text(f"{json.dumps(json.loads(first) | change)}\n{second}\n")
    source = Pope(root=str(root)).open("random")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert (refusal.value.origin, refusal.value.field_name) == ("coco_pope_random.json: question random-1", field_name)
    assert source[1].answers == ("no",)
