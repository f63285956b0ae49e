import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.jsonl import JsonLines, JsonLinesSource
from finetune.data.frames import shown_images
from finetune.geometry import Box
from finetune.types import BadSampleError, Sample

GOOD = {"image": "a.png", "prefix": "caption en", "suffix": "a cat"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    return tmp_path


def _open(root: Path, content: bytes, **settings: Any) -> JsonLinesSource:
    (root / "train.jsonl").write_bytes(content)
    return JsonLines(root=str(root), **settings).open("train")


def _read(root: Path, row: dict[str, Any], **settings: Any) -> Sample:
    return _open(root, json.dumps(row).encode() + b"\n", **settings)[0]


def test_a_line_of_prefix_and_suffix_is_read(root: Path) -> None:
    sample = _read(root, {**GOOD, "prefix": "detect cat", "suffix": "<loc0001><loc0002><loc0003><loc0004> cat"})
    assert (sample.prefix, sample.suffix) == ("detect cat", "<loc0001><loc0002><loc0003><loc0004> cat")
    assert sample.sample_id == sample.origin == "train.jsonl:1"
    assert sample.instances is None


def test_a_rich_line_is_read(root: Path) -> None:
    sample = _read(
        root,
        {
            "id": 7,
            "image": "a.png",
            "width": 200,
            "height": 100,
            "captions": ["a cat", "one cat"],
            "question": "what is it?",
            "answers": ["cat"],
            "text": "EXIT",
            "box_format": "xywh_pixels",
            "boxes": [
                {"label": "cat", "box": [20, 10, 80, 30], "mask": [[20, 10, 100, 10, 60, 40]]},
                {"label": "crowd", "box": [0, 0, 200, 100], "is_crowd": True},
            ],
        },
    )
    assert sample.sample_id == "7"
    assert sample.image_size == (100, 200)
    assert sample.captions == ("a cat", "one cat")
    assert (sample.question, sample.answers, sample.text) == ("what is it?", ("cat",), "EXIT")
    assert sample.label_set == ("cat", "crowd")
    assert sample.instances is not None
    cat, crowd = sample.instances
    assert cat.box == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
    assert cat.mask is not None
    assert cat.mask.to_array().shape == (100, 200)
    assert (cat.is_crowd, crowd.is_crowd) == (False, True)


def test_pixels_take_the_images_size_where_the_line_gives_none(root: Path) -> None:
    row = {"image": "a.png", "boxes": [{"label": "cat", "box": [20, 10, 100, 40]}]}
    sample = _read(root, row, box_format=BoxFormat.xyxy_pixels)
    assert sample.image_size == (100, 200)
    assert sample.instances is not None
    assert sample.instances[0].box.right == 0.5


def test_an_image_without_objects_is_not_an_image_without_annotation(root: Path) -> None:
    assert _read(root, {"image": "a.png", "boxes": []}).instances == ()
    assert _read(root, {"image": "a.png"}).instances is None


def test_several_images_are_read_in_order(root: Path) -> None:
    Image.new("RGB", (3, 3)).save(root / "b.png")
    for row in ({"image": ["b.png", "a.png"]}, {"images": ["b.png", "a.png"]}, {"frames": ["b.png", "a.png"]}):
        assert [image.name for image in _read(root, {"suffix": "a cat", **row}).images] == ["b.png", "a.png"]


def test_a_folder_of_frames_is_read_by_number_and_by_stride(root: Path) -> None:
    (root / "clips" / "one").mkdir(parents=True)
    for number in range(12):
        Image.new("RGB", (4, 4)).save(root / "clips" / "one" / f"frame-{number}.png")
    row = {"frames": "clips/one", "captions": ["a man runs"]}
    whole = [image.name for image in _read(root, row).images]
    assert whole == [f"clips/one/frame-{number}.png" for number in range(12)]
    strided = shown_images(_read(root, row, frame_stride=5), None)
    assert [image.name for image in strided] == [whole[0], whole[5], whole[10]]
    listed = _read(root, {"images": whole, "captions": ["a man runs"]}, frame_stride=5)
    assert len(shown_images(listed, None)) == 12
    with pytest.raises(ValueError, match="frame_stride must be at least 1, got 0"):
        JsonLines(root=str(root), frame_stride=0)


def test_a_link_among_the_frames_that_leaves_the_folder_is_refused(root: Path) -> None:
    outside = root / "outside.png"
    Image.new("RGB", (4, 4)).save(outside)
    (root / "images" / "clip").mkdir(parents=True)
    (root / "images" / "clip" / "1.png").symlink_to(outside)
    with pytest.raises(BadSampleError, match="path-outside-folder"):
        _read(root, {"frames": "clip", "suffix": "a cat"}, image_folder="images")


def test_labels_come_from_both_splits(root: Path) -> None:
    (root / "val.jsonl").write_text(
        json.dumps({"image": "a.png", "boxes": [{"label": "ant", "box": [0, 0, 1, 1]}]}) + "\n"
    )
    row = {"image": "a.png", "boxes": [{"label": "cat", "box": [0, 0, 1, 1]}]}
    assert _read(root, row, box_format=BoxFormat.xyxy_fraction).label_set == ("ant", "cat")


def test_repair_drops_an_empty_box(root: Path) -> None:
    row = {"image": "a.png", "boxes": [{"label": "cat", "box": [5, 5, 5, 9]}], "box_format": "xyxy_pixels"}
    repaired = _read(root, row, bad_boxes=BadBoxes.repair)
    assert repaired.instances == ()
    assert repaired.notes == {"boxes left out: nothing of them is in the image": 1}


def test_surrogate_pairs_and_any_script_are_text(root: Path) -> None:
    assert _read(root, {**GOOD, "suffix": "😀 кот 猫"}).suffix == "😀 кот 猫"
    source = _open(root, b'{"image": "a.png", "suffix": "\\ud83d\\ude00"}\n')
    assert source[0].suffix == "😀"


def test_an_empty_suffix_is_read_where_the_settings_allow_it(root: Path) -> None:
    assert _read(root, {**GOOD, "suffix": ""}, allow_empty_suffix=True).suffix == ""
    with pytest.raises(BadSampleError, match=r"dataset\.allow_empty_suffix=true"):
        _read(root, {**GOOD, "suffix": ""})


def test_a_source_survives_the_way_to_a_worker(root: Path) -> None:
    source = _open(root, json.dumps(GOOD).encode() + b"\n")
    assert pickle.loads(pickle.dumps(source))[0] == source[0]


def test_splits_have_their_own_files_and_folders(root: Path) -> None:
    (root / "val").mkdir()
    Image.new("RGB", (3, 3)).save(root / "val" / "v.png")
    (root / "held.jsonl").write_text(json.dumps({**GOOD, "image": "v.png"}) + "\n")
    dataset = JsonLines(root=str(root), image_folder="@split", eval_file="held.jsonl")
    assert dataset.open("val")[0].images[0].name == "v.png"


def test_a_misspelt_field_is_told_the_right_name(root: Path) -> None:
    with pytest.raises(BadSampleError, match="did you mean suffix"):
        _read(root, {**GOOD, "sufix": "a"})


def test_a_label_outside_the_declared_ones_is_told_the_nearest(root: Path) -> None:
    row = {"id": "x", "image": "a.png", "boxes": [{"label": "cta", "box": [0, 0, 1, 1]}]}
    with pytest.raises(BadSampleError, match="did you mean cat") as refusal:
        _read(root, row, labels=["dog", "cat"], box_format=BoxFormat.xyxy_fraction)
    assert (refusal.value.code, refusal.value.sample_id) == ("unknown-label", "x")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"image": "a.png"', "not-json"),
        (b"[1, 2]", "wrong-type"),
        (b"3", "wrong-type"),
        (b'{"image": "a.png", "image": "b.png"}', "duplicate-key"),
        (b'{"image": "a.png", "width": NaN}', "not-finite"),
        (b'{"image": "a.png", "width": -Infinity}', "not-finite"),
        (b'{"image": "a.png", "text": "\xff\xfe"}', "not-utf8"),
        (b'{"image": "a.png", "id": ' + b"1" * 5000 + b"}", "not-json"),
        (b"[" * 1_000_000, "nested-too-deeply"),
        (b'{"a":' * 100_000, "nested-too-deeply"),
        (b"{'image': 'a.png'}", "not-json"),
        (b'{"image": "a.png",}', "not-json"),
    ],
)
def test_a_broken_line_is_refused_and_its_neighbours_are_read(root: Path, line: bytes, code: str) -> None:
    good = json.dumps(GOOD).encode()
    source = _open(root, good + b"\n" + line + b"\n" + good + b"\n")
    assert len(source) == 3
    assert source[0].suffix == source[2].suffix == "a cat"
    with pytest.raises(BadSampleError) as refusal:
        source[1]
    assert (refusal.value.origin, refusal.value.code) == ("train.jsonl:2", code)


@pytest.mark.parametrize("second", ['{"id": "7", "image": "a.png"}', '{"id": 7, "image": "a.png"}'])
def test_an_id_on_two_lines_is_refused_at_once(root: Path, second: str) -> None:
    content = b'{"id": "7", "image": "a.png"}\n' + second.encode() + b"\n"
    with pytest.raises(ValueError, match=r"train\.jsonl:2: id '7' already stands at train\.jsonl:1"):
        _open(root, content)


@pytest.mark.parametrize(
    ("settings", "split", "message"),
    [
        ({"root": "{root}/nowhere"}, "train", "dataset.root: there is no folder"),
        ({"image_folder": "nowhere"}, "train", "dataset.image_folder: there is no folder"),
        ({"train_file": "nowhere.jsonl"}, "train", "dataset.train_file: there is no file"),
        ({}, "val", "dataset.eval_file: there is no file"),
        ({}, "test", "dataset split 'test': there is no file"),
    ],
)
def test_missing_files_are_refused_by_the_settings_name(
    root: Path, settings: dict[str, str], split: str, message: str
) -> None:
    settings = {"root": "{root}", **settings}
    dataset = JsonLines(**{name: value.replace("{root}", str(root)) for name, value in settings.items()})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape(message)):
        dataset.open(split)


def test_two_images_whose_names_differ_in_case_alone_are_refused_at_once(root: Path) -> None:
    rows = [{**GOOD, "image": "a.png"}, {**GOOD, "images": ["A.png"], "image": None}]
    with pytest.raises(ValueError, match=r"'A\.png' and 'a\.png' differ in upper and lower case alone"):
        _open(root, b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def test_what_can_be_no_label_is_asked_for_in_no_other_row(root: Path) -> None:
    boxes = [{"label": label, "box": [0, 0, 1, 1]} for label in ("cat", "", "<loc0001>", 3)]
    rows = [{"image": "a.png", "box_format": "xyxy_fraction", "boxes": [box]} for box in boxes]
    source = _open(root, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    assert source[0].label_set == ("cat",)
