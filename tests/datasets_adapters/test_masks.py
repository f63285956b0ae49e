from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from datasets_adapters.masks import box_of_mask, read_mask
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import BadSampleError

PLACE = RowPlace(origin="train.jsonl:3", sample_id="s3")
SIZE = (4, 6)


def _read(value: object, folder: Path | None = None, size: tuple[int, int] = SIZE) -> Mask:
    return read_mask(value, size, folder, "mask", PLACE)


@given(
    pixels=st.integers(1, 12).flatmap(
        lambda height: st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=height, max_size=height)
    )
)
def test_compressed_run_lengths_are_read_as_pycocotools_writes_them(pixels: list[list[bool]]) -> None:
    expected = np.array(pixels, dtype=np.uint8)
    if not expected.any():
        return
    encoded = coco_mask.encode(np.asfortranarray(expected))
    value = {"size": list(expected.shape), "counts": encoded["counts"].decode()}
    height, width = expected.shape
    assert np.array_equal(_read(value, size=(height, width)).to_array(), expected)


def test_long_compressed_runs_are_read() -> None:
    expected = np.zeros((300, 400), dtype=np.uint8)
    expected[20:200, 50:300] = 1
    expected[50:60, 100:110] = 0
    encoded = coco_mask.encode(np.asfortranarray(expected))
    value = {"size": [300, 400], "counts": encoded["counts"].decode()}
    assert np.array_equal(_read(value, size=(300, 400)).to_array(), expected)


def test_plain_run_lengths_go_down_the_columns() -> None:
    mask = _read({"size": [4, 6], "counts": [4, 2, 18]}).to_array()
    assert mask[:, 1].tolist() == [1, 1, 0, 0]
    assert mask.sum() == 2


@pytest.mark.parametrize("value", [[0, 0, 3, 0, 3, 4, 0, 4], [[0, 0, 3, 0, 3, 4, 0, 4]]])
def test_one_polygon_may_stand_without_the_outer_list(value: object) -> None:
    mask = _read(value).to_array()
    assert mask[:, :3].all()
    assert mask.sum() == 12


def test_a_png_is_inside_where_it_is_not_zero(tmp_path: Path) -> None:
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[1, 2:4] = 7
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert np.array_equal(_read({"png": "m.png"}, tmp_path).to_array(), pixels > 0)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([], "short-polygon"),
        ([[]], "short-polygon"),
        ([[0, 0, 3, 0]], "short-polygon"),
        ([[0, 0, 3, 0, 3, 4, 0]], "short-polygon"),
        ([[0, 0, 3, 0, "3", 4]], "wrong-type"),
        ([[0, 0, 3, 0, float("nan"), 4]], "not-finite"),
        ([[0, 0, 3, 0, 1e9, 4]], "polygon-outside-image"),
        ([["a"]], "short-polygon"),
        ([[0, 0, 3, 0, 3, 4], 5], "wrong-type"),
        ([[0, 0, 0, 0, 0, 0]], "empty-mask"),
        ({"size": [6, 4], "counts": [4, 2, 18]}, "mask-size"),
        ({"counts": [4, 2, 18]}, "mask-size"),
        ({"size": [4, 6], "counts": [4, 2, 17]}, "run-lengths"),
        ({"size": [4, 6], "counts": [4, -2, 22]}, "run-lengths"),
        ({"size": [4, 6], "counts": [4, 2, 2**64]}, "run-lengths"),
        ({"size": [4, 6], "counts": [4.0, 2, 18]}, "run-lengths"),
        ({"size": [4, 6], "counts": [True, 2, 21]}, "run-lengths"),
        ({"size": [4, 6], "counts": None}, "run-lengths"),
        ({"size": [4, 6], "counts": ""}, "run-lengths"),
        ({"size": [4, 6], "counts": "é\n"}, "run-lengths"),
        ({"size": [4, 6], "counts": "oooooooooooooooooooo"}, "run-lengths"),
        ({"size": [4, 6], "counts": "P"}, "run-lengths"),
        ({"size": [4, 6], "counts": [24]}, "empty-mask"),
        ({"size": [4, 6], "count": [24]}, "unknown-field"),
        ({"png": "m.png"}, "unknown-field"),
        ("polygon", "wrong-type"),
        (None, "wrong-type"),
    ],
)
def test_a_bad_mask_is_refused_with_its_reason(value: object, code: str) -> None:
    with pytest.raises(BadSampleError) as refusal:
        _read(value)
    assert refusal.value.code == code
    assert refusal.value.field_name.startswith("mask")


@pytest.mark.parametrize(
    ("mode", "size", "code"), [("L", (4, 6), "mask-size"), ("RGB", (6, 4), "mask-mode"), ("L", (6, 4), "empty-mask")]
)
def test_a_bad_png_is_refused_with_its_reason(tmp_path: Path, mode: str, size: tuple[int, int], code: str) -> None:
    Image.new(mode, size).save(tmp_path / "m.png")
    with pytest.raises(BadSampleError) as refusal:
        _read({"png": "m.png"}, tmp_path)
    assert refusal.value.code == code


def test_a_png_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(BadSampleError, match="unreadable-image"):
        _read({"png": "m.png"}, tmp_path)


@given(counts=st.text(max_size=12))
def test_any_string_is_run_lengths_or_a_refusal(counts: str) -> None:
    try:
        assert _read({"size": list(SIZE), "counts": counts}).to_array().shape == SIZE
    except BadSampleError:
        return


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_one_label_map_holds_many_masks(tmp_path: Path, mode: str) -> None:
    values = np.zeros(SIZE, dtype=np.uint8)
    values[1, 2:4], values[3, :2] = 7, 9
    picture = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else Image.fromarray(values, mode=mode)
    if mode == "P":
        picture.putpalette(range(30))
    picture.save(tmp_path / "map.png")
    for value in (7, 9):
        mask = _read({"label_map": "map.png", "value": value}, tmp_path)
        assert np.array_equal(mask.to_array(), values == value)


def test_a_label_map_in_colour_is_asked_for_a_colour(tmp_path: Path) -> None:
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    pixels[1, 2:4] = [0, 128, 64]
    Image.fromarray(pixels).save(tmp_path / "map.png")
    mask = _read({"label_map": "map.png", "value": [0, 128, 64]}, tmp_path)
    assert np.array_equal(mask.to_array(), pixels.any(axis=-1))


@pytest.mark.parametrize(
    ("value", "field_name", "code"),
    [
        ({"label_map": "map.png"}, "mask.value", "wrong-type"),
        ({"label_map": "map.png", "value": True}, "mask.value", "wrong-type"),
        ({"label_map": "map.png", "value": -1}, "mask.value", "wrong-type"),
        ({"label_map": "map.png", "value": [1, 2]}, "mask.value", "wrong-type"),
        ({"label_map": "map.png", "value": 5}, "mask.value", "empty-mask"),
        ({"label_map": "map.png", "value": [1, 2, 3]}, "mask.label_map", "mask-mode"),
        ({"label_map": "other.png", "value": 5}, "mask.label_map", "missing-file"),
        ({"label_map": 3, "value": 5}, "mask.label_map", "wrong-type"),
        ({"label_map": "map.png", "value": 5, "png": "map.png"}, "mask.label_map", "unknown-field"),
        ({"label_map": "map.png", "values": 5}, "mask.values", "unknown-field"),
    ],
)
def test_a_bad_label_map_is_refused(tmp_path: Path, value: object, field_name: str, code: str) -> None:
    Image.fromarray(np.ones(SIZE, dtype=np.uint8)).save(tmp_path / "map.png")
    with pytest.raises(BadSampleError) as refusal:
        _read(value, tmp_path)
    assert (refusal.value.field_name, refusal.value.code) == (field_name, code)


def test_the_box_of_a_mask_is_around_its_pixels() -> None:
    pixels = np.zeros((10, 20), dtype=np.uint8)
    pixels[2:7, 5:20] = 1
    assert box_of_mask(Mask.from_array(pixels)) == Box(top=0.2, left=0.25, bottom=0.7, right=1.0)
