import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.nlvr2 import Nlvr2
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "nlvr2"


def test_a_sentence_comes_with_the_left_and_the_right_image() -> None:
    sample = Nlvr2(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "train-10171-0-0"
    assert (sample.question, sample.answers) == ("There is a box in each image.", ("True",))
    assert [image.name for image in sample.images] == [
        "images/train/49/train-10171-0-img0.png",
        "images/train/49/train-10171-0-img1.png",
    ]


def test_two_sentences_about_a_pair_share_its_images() -> None:
    source = Nlvr2(root=str(ASSET)).open("train")
    assert source[0].images == source[1].images
    assert source[1].answers == ("False",)


def test_test_is_the_public_one() -> None:
    sample = Nlvr2(root=str(ASSET)).open("test")[1]
    assert sample.sample_id == "test1-0-0-0"
    assert sample.images[1].name == "test1/test1-0-0-img1.png"


def test_train_and_dev_are_trained_on_together() -> None:
    source = Nlvr2(root=str(ASSET)).open("train+dev")
    assert [source[index].sample_id for index in (2, 3)] == ["train-56-2-0", "dev-850-0-0"]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'test2'"):
        Nlvr2(root=str(ASSET)).open("test2")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nlvr2/data/test1.json .*github.com/lil-lab/nlvr"):
        Nlvr2(root=str(tmp_path)).open("test")


@pytest.mark.parametrize(
    ("change", "field_name"),
    [
        ({"identifier": "nothing"}, "identifier"),
        ({"identifier": None}, "identifier"),
        ({"identifier": "dev-1-1-0"}, "identifier"),
        ({"label": True}, "label"),
        ({"sentence": ""}, "sentence"),
    ],
)
def test_a_broken_row_is_refused_by_its_file_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "nlvr2" / "data" / "dev.json"
    first, second = path.read_text().splitlines()
    path.write_text(f"{json.dumps(json.loads(first) | change)}\n{second}\n")
    source = Nlvr2(root=str(root)).open("dev")
    with pytest.raises(BadSampleError, match=r"dev\.json: sentence") as refusal:
        source[0]
    assert refusal.value.field_name == field_name
    assert source[1].answers == ("True",)
