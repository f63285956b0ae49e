import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image
from pycocotools import mask as coco_mask

from datasets_adapters.boxes import BoxFormat
from datasets_adapters.hf_objects import ObjectReader
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.types import BadSampleError, Instance

SIZE = (100, 200)
# What the polygon, the run lengths and the PNG below all show.
BLOCK = Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
POLYGONS = [[20, 10, 100, 10, 100, 40, 20, 40]]


def _pixels(value: int = 1) -> UInt8[np.ndarray, "h w"]:
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[10:40, 20:100] = value
    return pixels


def _png(pixels: UInt8[np.ndarray, "h w"]) -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def _run_lengths() -> dict[str, Any]:
    return {"size": [100, 200], "counts": coco_mask.encode(np.asfortranarray(_pixels()))["counts"].decode()}


def _place() -> RowPlace:
    return RowPlace(origin="rows[train] row 5", sample_id="row-5")


def _reader(**settings: Any) -> ObjectReader:
    return ObjectReader(**{"folder": None, "label_set": ("ant", "bee"), **settings})


def _read(fields: Mapping[str, Any], **settings: Any) -> tuple[Instance, ...] | None:
    return _reader(**settings).read(fields, SIZE, _place())


@pytest.mark.parametrize(
    "mask",
    [
        POLYGONS,
        POLYGONS[0],
        _run_lengths(),
        {**_run_lengths(), "png": None},
        _png(_pixels(255)),
        {"bytes": _png(_pixels())["bytes"]},
    ],
    ids=["polygons", "a polygon", "run lengths", "a dict with the keys of all", "an image", "an image without a path"],
)
@pytest.mark.parametrize("form", ["dicts", "lists", "column"])
def test_masks_of_objects_are_read_from_every_form(mask: object, form: str) -> None:
    if form == "column":
        fields = {"objects": [{"category": "bee"}], "masks": [mask]}
    elif form == "dicts":
        fields = {"objects": [{"category": "bee", "segmentation": mask}]}
    else:
        fields = {"objects": {"category": ["bee"], "segmentation": [mask]}}
    (instance,) = _read(fields, box_key=None, mask_key=None if form == "column" else "segmentation") or ()
    assert (instance.label, instance.box) == ("bee", BLOCK)
    assert instance.mask is not None
    assert np.array_equal(instance.mask.to_array(), _pixels())


def test_a_written_box_goes_before_the_masks_own_and_is_not_needed_beside_one() -> None:
    objects = [
        {"category": "ant", "bbox": [0, 0, 200, 100], "mask": POLYGONS},
        {"category": "ant", "bbox": None, "mask": POLYGONS},
        {"category": "ant", "bbox": [0, 0, 20, 10], "mask": None},
        {"category": "ant", "bbox": [0, 0, 20, 10], "mask": []},
    ]
    found = _read({"objects": objects}, mask_key="mask", box_format=BoxFormat.xyxy_pixels) or ()
    assert [(one.box.right, one.mask is None) for one in found] == [
        (1.0, False),
        (0.5, False),
        (0.1, True),
        (0.1, True),
    ]


def test_objects_may_be_called_in_words() -> None:
    objects = {"category": [0], "mask": [POLYGONS], "sentences": [["the left ant", "an ant", "the left ant"]]}
    settings = {"class_names": ("ant", "bee"), "box_key": None, "mask_key": "mask"}
    (ant,) = _read({"objects": objects}, **settings, expressions_key="sentences") or ()
    assert (ant.label, ant.expressions) == ("ant", ("the left ant", "an ant"))
    (plain,) = _read({"objects": objects}, **settings) or ()
    assert plain.expressions == ()


def test_masks_alone_are_objects_of_the_only_label_or_of_their_own_labels() -> None:
    other = np.zeros(SIZE, dtype=np.uint8)
    other[50:, 100:] = 9
    (polyp,) = _read({"masks": _png(_pixels())}, label_set=("polyp",)) or ()
    assert (polyp.label, polyp.box) == ("polyp", BLOCK)
    fields = {"masks": [_png(_pixels()), _png(other)], "mask_labels": [1, 0]}
    bee, ant = _read(fields, class_names=("ant", "bee")) or ()
    assert (bee.label, ant.label) == ("bee", "ant")
    assert ant.box == Box(top=0.5, left=0.5, bottom=1, right=1)
    assert _read({"masks": []}) == ()
    assert _read({"masks": None}) is None


def test_a_mask_without_a_pixel_says_that_there_is_no_such_object() -> None:
    place = _place()
    empty = _png(np.zeros(SIZE, dtype=np.uint8))
    assert _reader().read({"masks": [empty]}, SIZE, place) == ()
    assert place.notes == {"masks without a pixel left out": 1}
    with pytest.raises(BadSampleError, match=r"masks\[0\]: covers no pixel"):
        _read({"objects": [{"category": "ant"}], "masks": [empty]}, box_key=None)


def test_a_label_map_has_one_object_for_each_class() -> None:
    values = _pixels(2)
    values[60:, :50], values[0, :] = 1, 255
    ant, bee = _read({"label_map": _png(values)}) or ()
    assert (ant.label, bee.label, bee.box) == ("ant", "bee", BLOCK)
    assert bee.mask is not None
    assert bee.mask.area_pixels == 30 * 80
    assert _read({"label_map": None}) is None


def test_masks_may_lie_in_files_beside_the_rows(tmp_path: Path) -> None:
    Image.fromarray(_pixels()).save(tmp_path / "m.png")
    (found,) = _read({"masks": "m.png"}, folder=tmp_path) or ()
    assert found.box == BLOCK
    with pytest.raises(BadSampleError, match="missing-file"):
        _read({"masks": "n.png"}, folder=tmp_path)


def test_the_size_of_the_image_is_asked_for_where_something_is_in_pixels() -> None:
    objects = {"objects": [{"category": "ant"}]}
    assert _reader(box_format=BoxFormat.xyxy_pixels).needs_size(objects)
    assert not _reader(box_format=BoxFormat.xyxy_fraction).needs_size(objects)
    assert _reader(box_format=BoxFormat.xyxy_fraction, mask_key="mask").needs_size(objects)
    assert _reader().needs_size({"masks": [1]})
    assert _reader().needs_size({"label_map": 1})
    assert not _reader().needs_size({"masks": None, "label_map": None, "objects": None})


@pytest.mark.parametrize(
    ("fields", "settings", "field_name", "code"),
    [
        ({"objects": [{"category": "ant"}]}, {"box_key": None}, "objects[0]", "missing-mask"),
        (
            {"objects": [{"category": "ant", "segmentation": POLYGONS}]},
            {"box_key": None, "mask_key": "segmentaton"},
            "objects[0].segmentaton",
            "missing-field",
        ),
        (
            {"objects": [{"category": "ant", "mask": POLYGONS}]},
            {"box_key": None, "mask_key": "mask", "expressions_key": "sentences"},
            "objects[0].sentences",
            "missing-field",
        ),
        (
            {"objects": [{"category": "ant", "mask": [[1, 2, 3, 4]]}]},
            {"box_key": None, "mask_key": "mask"},
            "objects[0].mask[0]",
            "short-polygon",
        ),
        (
            {"objects": [{"category": "ant", "mask": {"size": [1, 2], "counts": [2]}}]},
            {"box_key": None, "mask_key": "mask"},
            "objects[0].mask.size",
            "mask-size",
        ),
        ({"objects": [{"category": "ant"}], "masks": []}, {"box_key": None}, "masks", "wrong-number"),
        ({"masks": [_png(_pixels())], "mask_labels": []}, {}, "mask_labels", "wrong-number"),
        ({"masks": [_png(_pixels())], "mask_labels": ["cat"]}, {}, "mask_labels[0]", "unknown-label"),
        (
            {"masks": [_png(_pixels())], "mask_labels": [2]},
            {"class_names": ("ant",)},
            "mask_labels[0]",
            "unknown-class",
        ),
        ({"masks": [_png(_pixels()[:50])]}, {}, "masks[0]", "mask-size"),
        ({"masks": [3]}, {}, "masks[0]", "wrong-type"),
        ({"masks": {"bytes": b"no PNG", "path": None}}, {}, "masks[0]", "unreadable-image"),
        ({"label_map": _png(_pixels(3))}, {}, "label_map", "unknown-class"),
        ({"label_map": _png(_pixels()[:50])}, {}, "label_map", "mask-size"),
    ],
)
def test_a_bad_mask_is_refused_with_its_reason(
    fields: dict[str, Any], settings: dict[str, Any], field_name: str, code: str
) -> None:
    with pytest.raises(BadSampleError) as refusal:
        _read(fields, **settings)
    assert (refusal.value.field_name, refusal.value.code) == (field_name, code)
