"""Read a table: prefix `table`, suffix its HTML with the boxes of its cells.

    <table><tr><td coords="<loc0010><loc0020><loc0110><loc0040>">Age</td><td></td></tr></table>

Text is the table's HTML; objects are the boxes of cells, each labelled by the number of its `<td>`, from 0.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from finetune.evaluate.metrics.mean import MeanScore
from finetune.evaluate.metrics.tables import teds
from finetune.geometry import Box
from finetune.tokens.location import NUM_BINS, decode_bin, encode_bin
from finetune.tokens.template import check_template
from finetune.types import BadSampleError, Example, Instance, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.wording import ready_made, say

# An attribute's value may hold ">", as that of coords does.
_CELL = re.compile(r'<td((?:[^>"]|"[^"]*")*)>')
_COORDS = re.compile(r' coords="([^"]*)"')
_CORNERS = re.compile("<loc([0-9]{4})>" * 4)


@dataclass(frozen=True, kw_only=True)
class TableStructure:
    """A table's HTML, in which cells say where they are: left, top, right, bottom, as four location tokens.

    Text that the data brings ready-made (prefix, suffix) is used as it is.

    Args:
        prefix: What the model is asked; it has no placeholders.
        boxes: Whether the suffix says where cells are.

    Source:
        Steiner et al., PaliGemma 2 (arXiv 2412.03555), B.2, whose "<locXMIN><locYMAX><locXMAX><locYMAX>" is taken for a
        slip of the pen.
    """

    prefix: str = "table"
    boxes: bool = True

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ())

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the prefix and the table."""
        suffix = sample.suffix if sample.suffix is not None else self._suffix_of(sample)
        return say(sample, self._prefix_of(sample), suffix, notes=ready_made(sample))

    def ask(self, sample: Sample) -> Example:
        """Say the prefix alone."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return the HTML, without boxes."""
        return "".join(_html_of(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read the boxes of the cells; those that are none are malformed, the table is taken as it is."""
        attributes = [_COORDS.search(cell[1]) for cell in _CELL.finditer(text)]
        boxes = {number: _box(found[1]) for number, found in enumerate(attributes) if found is not None}
        objects = tuple(Instance(label=str(number), box=box) for number, box in boxes.items() if box is not None)
        return Prediction(
            sample_id=sample.sample_id, text=text, objects=objects, num_malformed=len(boxes) - len(objects)
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return TEDS, with the cells' text and without: boxes do not count."""
        structure = partial(teds, is_content_seen=False)
        return {"TEDS": MeanScore("TEDS", teds, _html_of), "S-TEDS": MeanScore("S-TEDS", structure, _html_of)}

    def _prefix_of(self, sample: Sample) -> str:
        return sample.prefix if sample.prefix is not None else self.prefix.format()

    def _suffix_of(self, sample: Sample) -> str:
        if sample.text is None:
            raise missing_annotation(sample, "text")
        if not self.boxes:
            return sample.text
        if sample.instances is None:
            raise missing_annotation(sample, "boxes")
        boxes = {one.label: one.box for one in sample.instances}
        cells = list(_CELL.finditer(sample.text))
        unknown = boxes.keys() - {str(number) for number in range(len(cells))}
        if unknown:
            raise BadSampleError(
                origin=sample.origin,
                sample_id=sample.sample_id,
                field_name="boxes",
                code="no-such-cell",
                message=f"a box belongs to cell {min(unknown)!r}, but the table has {len(cells)}: number <td> from 0",
            )
        return _with_boxes(sample.text, cells, boxes)


def _with_boxes(text: str, cells: Sequence[re.Match[str]], boxes: Mapping[str, Box]) -> str:
    """Put each box into the tag of its cell."""
    parts, done = [], 0
    for number, cell in enumerate(cells):
        parts.append(text[done : cell.end() - 1])
        if str(number) in boxes:
            parts.append(f' coords="{_coords(boxes[str(number)])}"')
        done = cell.end() - 1
    return "".join([*parts, text[done:]])


def _coords(box: Box) -> str:
    return "".join(f"<loc{encode_bin(edge):04d}>" for edge in (box.left, box.top, box.right, box.bottom))


def _box(coords: str) -> Box | None:
    """Read four location tokens; None where they are others, out of range or swapped."""
    match = _CORNERS.fullmatch(coords)
    bins = [int(group) for group in match.groups()] if match else []
    if not bins or max(bins) >= NUM_BINS or bins[0] > bins[2] or bins[1] > bins[3]:
        return None
    left, top, right, bottom = (decode_bin(index) for index in bins)
    return Box(top=top, left=left, bottom=bottom, right=right)


def _html_of(sample: Sample) -> Sequence[str]:
    if sample.suffix is not None:
        return (_COORDS.sub("", sample.suffix),)
    return () if sample.text is None else (sample.text,)
