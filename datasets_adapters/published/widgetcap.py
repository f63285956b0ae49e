"""Widget Captioning (Li et al., 2020): what a button or field on a screen of an Android app does, in a few words.

    widget_captions.csv   datasetId,screenId,nodeId,captions  (captions parted by |)
    split/train.txt       a screenId a line
    combined/100.jpg      RICO's screenshot
    combined/100.json     {"activity": {"root": {"bounds": [left, top, right, bottom], "children": […]}}}: RICO's view
                          hierarchy, on a canvas 2560 units high

"0.1.3" is the fourth child of the second child of the root. The widget's box is painted on the resized screenshot.

Source:
    https://github.com/google-research-datasets/widget-caption, README.md and split/; the columns and the canvas as
    big_vision datasets/widgetcap/widgetcap.py (0127fb6) and pix2struct's preprocessing read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.paths import find_file, stored_size
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_csv, read_plain_text
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, quote, read_number, read_text, read_texts
from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.geometry import Box
from finetune.published import DataCard
from finetune.types import ImageFile, OutlinedImage, Sample, Source

_FILE = "widget_captions.csv"
_COLUMNS = ("screenId", "nodeId", "captions")
_CANVAS_HEIGHT = 2560


@dataclass(frozen=True, kw_only=True)
class WidgetCaptions(PublishedDataset):
    """Captions of widgets, each shown with a red box around it on its screen.

    Args:
        root: Folder with widget_captions.csv and split/{train,dev,test}.txt, as in
            github.com/google-research-datasets/widget-caption, and RICO's folder combined of screenshots and view
            hierarchies (interactionmining.org/rico: unique_uis.tar.gz) (captions CC BY 4.0; screenshots for research).
        train_split, eval_split: Of train, dev and test, or slices and sums of them.
    """

    card = DataCard(
        title="Widget Captioning",
        homepage="https://github.com/google-research-datasets/widget-caption and https://interactionmining.org/rico",
        licence="captions CC BY 4.0, screenshots for research",
        # Of 61,286 widgets, 12,960 are on screens that were never released; the authors do not count the rest by split.
        counts={},
        counts_source="https://github.com/google-research-datasets/widget-caption, README.md: 48,326 in all",
    )
    splits = ("train", "dev", "test")

    eval_split: str = "dev"

    def _opener(self) -> Callable[[str], Source]:
        widgets = cache(self._read_widgets)
        return lambda name: self._open_split(name, widgets())

    def _read_widgets(self) -> list[dict[str, str]]:
        return list(read_csv(self.annotations(_FILE), _COLUMNS))

    def _open_split(self, name: str, widgets: list[dict[str, str]]) -> RowSource:
        path = self.annotations(f"split/{name}.txt")
        screens = set(read_plain_text(path).split())
        rows = [
            {"widget": f"{row['screenId']}_{row['nodeId']}"} | {column: row[column] for column in _COLUMNS}
            for row in widgets
            if row["screenId"] in screens
        ]
        return pack_rows(rows, read=self._read, file=_FILE, unit="widget", id_key="widget")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        root, screen = Path(self.root), row["screenId"]
        name = f"combined/{screen}.jpg"
        image = self.image(name, "screenId", place)
        hierarchy = find_file(root, f"combined/{screen}.json", "screenId", place)
        box = _box(_node(hierarchy, row["nodeId"], place).get("bounds"), image, place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(OutlinedImage(image=image, box=box),),
            captions=_read_captions(row["captions"], place),
            notes=place.notes,
        )


def _read_captions(joined: str, place: RowPlace) -> tuple[str, ...]:
    parts = read_text(joined, "captions", place).split("|")
    captions = [part for part in parts if part.strip()]
    if len(captions) < len(parts):
        place.notes["empty captions passed over"] += len(parts) - len(captions)
    return read_texts(captions, "captions", place)


def _node(path: Path, node_id: str, place: RowPlace) -> dict[str, Any]:
    """Walk down a view hierarchy."""
    try:
        node = parse_json(path.read_bytes())
        steps = ["activity", "root", *(step for part in node_id.split(".")[1:] for step in ("children", int(part)))]
        for step in steps:
            node = node[step]
    except StrictJsonError as error:
        place.refuse(path.name, error.code, f"{error}")
    except (KeyError, IndexError, TypeError, ValueError):
        place.refuse("nodeId", "unknown-node", f"{quote(node_id)} is no node of {path.name}: copy the file again")
    if not isinstance(node, dict):
        place.refuse("nodeId", "unknown-node", f"{quote(node_id)} of {path.name} is no node: copy the file again")
    return node


def _box(bounds: object, image: ImageFile, place: RowPlace) -> Box:
    """Return a node's bounds as fractions of its screenshot; what leaves the screen is cut off."""
    height, width = stored_size(image, "screenId", place)
    if not isinstance(bounds, list):
        place.refuse("bounds", "wrong-type", f"must be a list of four numbers, got {quote(bounds)}")
    pixels = [read_number(bound, "bounds", place) * height / _CANVAS_HEIGHT for bound in bounds]
    size = (height, width)
    box = read_box(pixels, BoxFormat.xyxy_pixels, size, "bounds", place, bad_boxes=BadBoxes.repair)
    if box is None:
        place.refuse("bounds", "empty-box", f"{quote(bounds)} covers nothing of the screen: leave the widget out")
    return box
