"""Widget Captioning, on screens made up for this test, in the authors' format and RICO's."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.widgetcap import WidgetCaptions
from finetune.geometry import Box
from finetune.types import BadSampleError, OutlinedImage, Sample

ASSET = Path(__file__).parents[2] / "assets" / "published" / "widgetcap"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(ASSET, tmp_path / "widgetcap")
    return tmp_path / "widgetcap"


def _outlined(sample: Sample) -> OutlinedImage:
    (image,) = sample.images
    assert isinstance(image, OutlinedImage)
    return image


def test_a_row_is_a_widget_with_its_captions() -> None:
    sample = WidgetCaptions(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "9501_0.1.0"
    assert sample.captions == ("go back", "return to the page before", "back")
    assert _outlined(sample).name == "combined/9501.jpg"


def test_the_box_is_the_nodes_on_a_canvas_of_2560_units() -> None:
    image = _outlined(WidgetCaptions(root=str(ASSET)).open("train")[0])
    assert image.box == Box(top=640 / 2560, left=360 / 1440, bottom=1280 / 2560, right=720 / 1440)
    assert image.color == (255, 0, 0)


def test_what_leaves_the_screen_is_cut_off_and_counted() -> None:
    sample = WidgetCaptions(root=str(ASSET)).open("train")[1]
    assert _outlined(sample).box == Box(top=0.75, left=0.75, bottom=1.0, right=1.0)
    assert sample.notes["boxes clipped to the image"] == 1


def test_an_empty_caption_is_passed_over_and_counted() -> None:
    sample = WidgetCaptions(root=str(ASSET)).open("train")[1]
    assert sample.captions == ("search, in the box", "search")
    assert sample.notes["empty captions passed over"] == 1


def test_widgets_of_screens_that_were_never_released_are_in_no_split() -> None:
    dataset = WidgetCaptions(root=str(ASSET))
    assert {split: len(dataset.open(split)) for split in ("train", "dev", "test", "train+dev")} == {
        "train": 4,
        "dev": 2,
        "test": 2,
        "train+dev": 6,
    }
    with pytest.raises(ValueError, match="there is no split 'val'"):
        dataset.open("val")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no widget_captions.csv.*google-research-datasets/widget-caption"):
        WidgetCaptions(root=str(tmp_path)).open("train")


def test_a_node_that_is_not_there_is_named_and_spares_the_others(root: Path) -> None:
    path = root / "combined" / "9501.json"
    hierarchy = json.loads(path.read_text())
    hierarchy["activity"]["root"]["children"][1]["children"].pop()
    path.write_text(json.dumps(hierarchy))
    source = WidgetCaptions(root=str(root)).open("train")
    assert source[0].captions
    with pytest.raises(BadSampleError, match=r"widget_captions.csv: widget 9501_0.1.1: nodeId: '0.1.1' is no node of"):
        source[1]


@pytest.mark.parametrize("bounds", [None, [1, 2, 3], ["a", 0, 1, 1], [5, 5, 5, 5], [720, 640, 360, 1280]])
def test_bounds_that_are_none_are_refused(root: Path, bounds: object) -> None:
    path = root / "combined" / "9501.json"
    hierarchy = json.loads(path.read_text())
    hierarchy["activity"]["root"]["children"][1]["children"][0]["bounds"] = bounds
    path.write_text(json.dumps(hierarchy))
    with pytest.raises(BadSampleError, match=r"widget 9501_0.1.0: bounds"):
        WidgetCaptions(root=str(root)).open("train")[0]
