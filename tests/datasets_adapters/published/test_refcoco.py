"""RefCOCO, RefCOCO+ and RefCOCOg, on objects made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.refcoco import RefCoco
from finetune.geometry import Box
from finetune.types import BadSampleError, Sample

ASSET = Path(__file__).parents[2] / "assets" / "published" / "refcoco"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(ASSET, tmp_path / "refcoco")
    return tmp_path / "refcoco"


def every(split: str) -> list[Sample]:
    source = RefCoco(root=str(ASSET)).open(split)
    return [source[index] for index in range(len(source))]


def expressions(sample: Sample) -> list[tuple[str, ...]]:
    return [one.expressions for one in sample.instances or ()]


def test_training_joins_what_the_three_data_sets_say_of_an_object() -> None:
    (first, second, _) = every("train")
    assert (first.sample_id, first.images[0].name) == ("9801", "COCO_train2014_000000009801.jpg")
    assert expressions(first) == [("left box", "the box on the left", "small box"), ("right box",), ("many boxes",)]
    assert expressions(second) == [("a box that stands left of another one",)]
    assert first.category is None


def test_training_leaves_out_images_that_one_of_the_three_evaluates_on() -> None:
    # RefCOCOg trains on 9806, RefCOCO evaluates on it.
    assert [sample.sample_id for sample in every("train")] == ["9801", "9805", "9809"]
    assert [sample.sample_id for sample in every("val")] == ["9802", "9806", "9807"]


def test_a_crowd_that_somebody_refers_to_is_one_object() -> None:
    crowd = (every("train")[0].instances or ())[2]
    assert not crowd.is_crowd
    assert crowd.mask is not None
    assert crowd.mask.area_pixels == 80


def test_an_evaluation_has_a_sample_for_each_expression_and_its_split_for_a_category() -> None:
    samples = every("refcoco_val")
    assert [expressions(sample) for sample in samples] == [
        [("left one",)],
        [("small box",)],
        [("right one",)],
        [("left",)],
    ]
    assert {sample.category for sample in samples} == {"refcoco_val"}
    assert [sample.sample_id for sample in samples[:2]] == ["refcoco_val/2_0", "refcoco_val/2_1"]


def test_an_object_has_the_box_and_the_mask_of_coco() -> None:
    (one,) = every("refcocop_testB")[0].instances or ()
    assert one.box == Box(top=20 / 48, left=36 / 64, bottom=40 / 48, right=56 / 64)
    assert one.mask is not None
    assert (one.mask.height, one.mask.width, one.mask.area_pixels) == (48, 64, 400)


def test_every_split_opens_and_samples_of_all_differ() -> None:
    names = "refcoco_val refcoco_testA refcoco_testB refcocop_val refcocop_testA refcocop_testB refcocog_val"
    samples = every("+".join([*names.split(), "refcocog_test"]))
    assert len({sample.sample_id for sample in samples}) == len(samples) == 12
    assert samples[0].image_size == (48, 64)


def test_an_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="there is no split 'refcocog_testA'"):
        RefCoco(root=str(ASSET)).open("refcocog_testA")


def test_who_has_not_prepared_the_authors_file_is_told_how(root: Path) -> None:
    (root / "refcoco_unc.json").rename(root / "refcoco" / "refs(unc).p")
    with pytest.raises(ValueError, match=r"has no refcoco_unc.json: run python scripts/prepare_refcoco.py"):
        RefCoco(root=str(root)).open("refcoco_val")


def test_a_folder_without_the_files_is_told_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no refcoco\+_unc.json.*github.com/lichengunc/refer"):
        RefCoco(root=str(tmp_path)).open("refcocop_val")


def test_an_object_that_coco_does_not_have_is_named_and_spares_the_others(root: Path) -> None:
    path = root / "refcocog_umd.json"
    refs = json.loads(path.read_text())
    refs[2]["ann_id"] = 1
    path.write_text(json.dumps(refs))
    dataset = RefCoco(root=str(root))
    with pytest.raises(
        BadSampleError, match=r"refcocog_umd.json: expression refcocog_val/2_0: annotation 1: is not in"
    ):
        dataset.open("refcocog_val")[0]
    assert dataset.open("refcocog_test")[0].instances


def change_first(root: Path, change: dict[str, object]) -> RefCoco:
    path = root / "refcoco_unc.json"
    refs = json.loads(path.read_text())
    path.write_text(json.dumps([refs[0] | change, *refs[1:]]))
    return RefCoco(root=str(root))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": None}, "image_id must be a whole number, got None"),
        ({"ann_id": [1]}, r"ann_id must be a whole number, got \[1\]"),
        ({"ref_id": True}, "ref_id must be a whole number, got True"),
        ({"sentences": ["left"]}, "sentences must be a list of objects"),
        ({"sentences": None}, "sentences must be a list of objects"),
    ],
)
def test_a_reference_of_another_form_is_refused_by_file_and_row(
    root: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"refcoco_unc.json: row 1: {message}"):
        change_first(root, change).open("train")


@pytest.mark.parametrize(("sentences", "message"), [([], "holds no expression"), ([{"sent": []}], "must be text")])
def test_an_object_that_nobody_puts_into_words_is_refused_alone(
    root: Path, sentences: list[object], message: str
) -> None:
    path = root / "refcoco+_unc.json"
    path.write_text(json.dumps([ref for ref in json.loads(path.read_text()) if ref["image_id"] != 9801]))
    source = change_first(root, {"sentences": sentences}).open("train")
    with pytest.raises(BadSampleError, match=rf"refcoco_unc.json or .*: image 9801: annotation 98010.sent.*{message}"):
        source[0]
    assert source[1].instances
