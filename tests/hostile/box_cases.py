"""Bad input, boxes and masks. The good image has 48 x 32 pixels."""

from pathlib import Path

from PIL import Image

from tests.hostile.cases import Row, Verdict, boxes_row, one_box, one_mask

_BOX, _MASK = "boxes[0].box", "boxes[0].mask"
_HEIGHT, _WIDTH = 32, 48


def _bad(name: str, row: dict[str, object], words: str, field_name: str = _BOX) -> Row:
    return Row(name=name, row=row, verdict=Verdict.row, reference="E", words=words, field_name=field_name)


def _bad_label(name: str, label: str) -> Row:
    return Row(
        name=name,
        row=boxes_row([{"label": label, "box": [1, 2, 30, 20]}]),
        verdict=Verdict.row,
        reference="E",
        words="bad-label",
        field_name="label_set",
        alone="every row asks for every label, so that the first row of all is refused for it",
    )


def _runs(*counts: int) -> dict[str, object]:
    return {"size": [_HEIGHT, _WIDTH], "counts": list(counts)}


def _small_mask(folder: Path) -> None:
    Image.new("L", (5, 5), 255).save(folder / "mask.png")


_ALL = _HEIGHT * _WIDTH

BOXES = [
    _bad("swapped corners", one_box(30, 20, 10, 5), "inverted-box"),
    _bad("a width below 0", one_box(30, 20, -5, 5, box_format="xywh_pixels"), "inverted-box"),
    _bad("a corner below 0", one_box(-20, 2, 10, 5), "box-outside-image"),
    _bad("a corner beyond the image", one_box(10, 10, 100, 20), "box-outside-image"),
    Row(
        name="a corner beyond the image, to be repaired",
        row=one_box(10, 10, 100, 20),
        settings={"bad_boxes": "repair"},
        verdict=Verdict.fixed,
        reference="F",
        words="boxes clipped to the image",
    ),
    Row(
        name="a box outside the image, to be repaired",
        row=boxes_row([{"label": "cell", "box": [60, 60, 70, 70]}, {"label": "cell", "box": [1, 1, 9, 9]}]),
        settings={"bad_boxes": "repair"},
        verdict=Verdict.fixed,
        reference="F",
        words="boxes left out: nothing of them is in the image",
    ),
    _bad("no area", one_box(10, 10, 10, 20), "empty-box"),
    _bad("NaN as text", one_box(10, "NaN", 20, 20), "wrong-type", f"{_BOX}[1]"),
    _bad("a number beyond a float", one_box(10, 10**400, 20, 20), "not-finite", f"{_BOX}[1]"),
    _bad("x, y, width, height declared as corners", one_box(30, 20, 10, 8), "inverted-box"),
    _bad("no declared order and unit", one_box(1, 2, 3, 4, box_format=None), "undeclared-box-format", "box_format"),
    _bad("fractions declared as pixels", one_box(0.1, 0.2, 0.3, 0.4), "fraction-in-pixels"),
    _bad("pixels declared as fractions", one_box(10, 10, 20, 20, box_format="xyxy_fraction"), "pixels-in-fraction"),
    _bad("three numbers", one_box(1, 2, 3), "box-length"),
    _bad("five numbers", one_box(1, 2, 3, 4, 0.9), "box-length"),
    _bad("bin 1024", one_box(0, 0, 1024, 1023, box_format="yxyx_bins"), "bin-out-of-range"),
    _bad("half a bin", one_box(0, 0, 10.5, 1023, box_format="yxyx_bins"), "bin-out-of-range"),
    Row(
        name="bins 0 and 1023",
        row=one_box(0, 0, 1023, 1023, box_format="yxyx_bins"),
        verdict=Verdict.fine,
        reference="O",
    ),
    _bad_label("a label with a semicolon", "cell; dead"),
    _bad_label("a label with a bracket", "a<b"),
    _bad(
        "a label with a token", boxes_row([{"label": "<loc0001>", "box": [1, 2, 30, 20]}]), "location-token",
        "boxes[0].label",
    ),
    _bad("an empty label", boxes_row([{"label": "", "box": [1, 2, 30, 20]}]), "empty-text", "boxes[0].label"),
    _bad("no label", boxes_row([{"box": [1, 2, 30, 20]}]), "wrong-type", "boxes[0].label"),
    _bad("a field that nobody reads", boxes_row([{"label": "cell", "bbox": [1]}]), "unknown-field", "boxes[0].bbox"),
    _bad("boxes that are no list", boxes_row({"label": "cell"}), "wrong-type", "boxes"),
    _bad("a mask without a pixel", one_mask(_runs(_ALL)), "empty-mask", _MASK),
    _bad("a mask of another size", one_mask({"size": [3, 3], "counts": [4, 5]}), "mask-size", f"{_MASK}.size"),
    _bad("runs that end early", one_mask(_runs(10, 20)), "run-lengths", f"{_MASK}.counts"),
    _bad("runs that go on too long", one_mask(_runs(10, _ALL)), "run-lengths", f"{_MASK}.counts"),
    _bad("a run below 0", one_mask(_runs(10, -5, _ALL - 5)), "run-lengths", f"{_MASK}.counts"),
    _bad("a run beyond 64 bits", one_mask(_runs(0, 2**70)), "run-lengths", f"{_MASK}.counts"),
    _bad("a compressed run that was cut off", one_mask({"size": [_HEIGHT, _WIDTH], "counts": "PPPPPPPPPPPPPo"}),
         "run-lengths", f"{_MASK}.counts"),
    _bad("a polygon of two points", one_mask([[1, 2, 3, 4]]), "short-polygon", f"{_MASK}[0]"),
    _bad("a polygon of seven numbers", one_mask([[1, 2, 3, 4, 5, 6, 7]]), "short-polygon", f"{_MASK}[0]"),
    _bad("a polygon far away", one_mask([[0, 0, 10**9, 0, 5, 5]]), "polygon-outside-image", f"{_MASK}[0]"),
    Row(
        name="a mask file of another size",
        row=one_mask({"png": "@/mask.png"}),
        files=_small_mask,
        verdict=Verdict.row,
        reference="E",
        words="mask-size",
        field_name=f"{_MASK}.png",
    ),
    _bad("a mask file outside the folder", one_mask({"png": "../mask.png"}), "path-escape", f"{_MASK}.png"),
]  # fmt: skip
