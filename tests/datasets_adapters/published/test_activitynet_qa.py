"""ActivityNet-QA, on questions made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.activitynet_qa import ActivitynetQa
from finetune.data.frames import shown_images
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "activitynet_qa"


def test_a_row_is_a_question_joined_with_its_answer_and_kind() -> None:
    sample = ActivitynetQa(root=str(ASSET), frame_stride=3).open("train")[0]
    assert sample.sample_id == sample.public_id == "v_madeUpTrain_3"
    assert (sample.question, sample.answers, sample.category) == ("is the square pale", ("yes",), "yesno")
    assert [image.name for image in shown_images(sample, None)] == [
        "v_madeUpTrain/000001.jpg",
        "v_madeUpTrain/000004.jpg",
    ]


def test_kinds_have_names() -> None:
    dataset = ActivitynetQa(root=str(ASSET))
    samples = [dataset.open("train")[1], dataset.open("val")[0], dataset.open("test")[0]]
    assert [sample.category for sample in samples] == ["motion", "color", "number"]


def test_splits_are_files_of_their_own_and_add_up() -> None:
    assert len(ActivitynetQa(root=str(ASSET)).open("train+val")) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": "other"}, "answer: must be text"),
        ({"type": 9}, "type: must be 0 to 8, got 9"),
        ({"type": "3"}, "type: must be 0 to 8, got '3'"),
    ],
)
def test_a_broken_answer_is_refused_by_the_question(tmp_path: Path, change: dict[str, object], message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "val_a.json"
    path.write_text(json.dumps([json.loads(path.read_text())[0] | change]))
    with pytest.raises(BadSampleError, match=f"val_q.json: question v_-madeUpVal0_5: {message}"):
        ActivitynetQa(root=str(tmp_path / "copy")).open("val")[0]


def test_videos_that_are_gone_are_left_out_on_demand(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "frames" / "v_madeUpTest0")
    dataset = ActivitynetQa(root=str(tmp_path / "copy"), skip_missing_videos=True)
    assert len(dataset.open("train")) == 2
    with pytest.raises(ValueError, match="skip_missing_videos"):
        dataset.open("test")


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "train_q.json").write_text("[]")
    with pytest.raises(ValueError, match=r"has no train_a.json.*github.com/MILVLG/activitynet-qa"):
        ActivitynetQa(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'val_1'"):
        ActivitynetQa(root=str(ASSET)).open("val_1")
