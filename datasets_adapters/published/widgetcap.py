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

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.paths import existing_folder, find_file, stored_size
from datasets_adapters.published.files import find_annotations, read_csv
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, quote, read_number, read_text, read_texts
from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.geometry import Box
from finetune.types import DataCard, ImageFile, OutlinedImage, Sample, Source

_FILE = "widget_captions.csv"
_COLUMNS = ("screenId", "nodeId", "captions")
_SPLITS = ("train", "dev", "test")
_CANVAS_HEIGHT = 2560


@dataclass(frozen=True, kw_only=True)
class WidgetCaptions:
    """Captions of widgets, each shown with a red box around it on its screen.

    Args:
        root: Folder with widget_captions.csv and split/{train,dev,test}.txt, as in
            github.com/google-research-datasets/widget-caption, and RICO's folder combined of screenshots and view
            hierarchies (interactionmining.org/rico: unique_uis.tar.gz) (captions CC BY 4.0; screenshots for research).
        train_split, eval_split: Of train, dev and test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="Widget Captioning",
        homepage="https://github.com/google-research-datasets/widget-caption and https://interactionmining.org/rico",
        licence="captions CC BY 4.0, screenshots for research",
        # Of 61,286 widgets, 12,960 are on screens that were never released; the authors do not count the rest by split.
        counts={},
        counts_source="https://github.com/google-research-datasets/widget-caption, README.md: 48,326 in all",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "dev"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        widgets = cache(self._read_widgets)
        return open_split(split, _SPLITS, lambda name: self._open_one(name, widgets()))

    def _read_widgets(self) -> list[dict[str, str]]:
        root = existing_folder("dataset.root", Path(self.root))
        return list(read_csv(find_annotations(root, _FILE, self.card), _COLUMNS))

    def _open_one(self, name: str, widgets: list[dict[str, str]]) -> RowSource:
        path = find_annotations(Path(self.root), f"split/{name}.txt", self.card)
        screens = set(path.read_text(encoding="utf-8").split())
        rows = [
            {"widget": f"{row['screenId']}_{row['nodeId']}"} | {column: row[column] for column in _COLUMNS}
            for row in widgets
            if row["screenId"] in screens
        ]
        return pack_rows(rows, read=self._read, file=_FILE, unit="widget", id_key="widget")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        root, screen = Path(self.root), row["screenId"]
        name = f"combined/{screen}.jpg"
        image = ImageFile(name=name, path=find_file(root, name, "screenId", place))
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
