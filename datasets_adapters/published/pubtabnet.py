"""PubTabNet (Zhong et al., 2020): tables cut out of scientific articles, with their HTML and their cells' boxes.

    PubTabNet_2.0.0.jsonl   {"filename": "PMC1064865_002_00.png", "split": "val", "imgid": 1, "html": {"structure":
                              {"tokens": ["<thead>", "<tr>", "<td>", "</td>", "<td", " colspan='2'", ">", "</td>", …]},
                              "cells": [{"tokens": ["<b>", "A", "</b>"], "bbox": [left, top, right, bottom]}, …]}}
    val/PMC1064865_002_00.png

A line is read when it is asked for; opening a split finds its lines by their split alone, in a file of gigabytes.

Source:
    ibm-aur-nlp/PubTabNet, README.md, examples/ and exploring_PubTabNet_dataset.ipynb.
"""

import re
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.jsonl_index import LineIndex, index_lines
from datasets_adapters.paths import find_file, stored_size
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.published import DataCard
from finetune.types import ImageFile, Instance, Sample

_FILE = "PubTabNet_2.0.0.jsonl"
# No cell can hold it: their tokens are single letters and tags.
_SPLIT = re.compile(rb'"split"\s*:\s*"([a-z]+)"')


@dataclass(frozen=True, kw_only=True)
class PubTabNet(PublishedDataset):
    """Tables as HTML; objects are the boxes of their cells, each labelled by the number of its `<td>`, from 0.

    Args:
        root: Folder with PubTabNet_2.0.0.jsonl and the folders train and val of images, from pubtabnet.tar.gz of
            huggingface.co/datasets/ajimeno/PubTabNet (annotations CDLA-Permissive 1.0; images under PMC's terms).
        train_split, eval_split: Of train and val, or slices and sums of them.
    """

    card = DataCard(
        title="PubTabNet",
        homepage="https://huggingface.co/datasets/ajimeno/PubTabNet",
        licence="annotations CDLA-Permissive 1.0, images under PubMed Central's terms",
        counts={"train": 500_777, "val": 9_115},
        counts_source="Zhong et al., Image-based table recognition, 2020, of version 2.0.0",
    )
    # The test split's file has images alone.
    splits = ("train", "val")

    def _open_one(self, name: str) -> "PubTabNetSource":
        index = index_lines(self.annotations(_FILE))
        belongs = np.array([_belongs(line, name) for line in index.encoded_lines()])
        if not belongs.any():
            raise ValueError(f"{index.path} has no line of the split {name!r}; is it another file?")
        chosen = replace(
            index, starts=index.starts[belongs], stops=index.stops[belongs], numbers=index.numbers[belongs]
        )
        return PubTabNetSource(root=Path(self.root), folder=name, index=chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class PubTabNetSource:
    """The lines of one split."""

    root: Path
    folder: str
    index: LineIndex

    @property
    def block_size(self) -> int | None:
        """None: any line can be read at any time."""
        return None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Sample:
        """Read one line.

        Raises:
            BadSampleError: If it has not as many cells as `<td>`, or a box leaves its image.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the split has {len(self)} rows, got index {index}")
        origin = self.index.origin(index)
        row = self.index.read(index, RowPlace(origin=origin, sample_id=""))
        name = read_text(row.get("filename"), "filename", RowPlace(origin=origin, sample_id=""))
        place = RowPlace(origin=f"{origin}: table {name}", sample_id=name)
        path = f"{self.folder}/{name}"
        image = ImageFile(name=path, path=find_file(self.root, path, "filename", place))
        size = stored_size(image, "filename", place)
        structure, cells = _read_table(row.get("html"), place)
        boxes = [_read_cell(number, cell, size, place) for number, cell in enumerate(cells)]
        return Sample(
            sample_id=name,
            origin=place.origin,
            images=(image,),
            image_size=size,
            text=_html(structure, cells, place),
            instances=tuple(box for box in boxes if box is not None),
        )


def _belongs(line: bytes, split: str) -> bool:
    match = _SPLIT.search(line)
    return match is not None and match[1].decode() == split


def _read_table(html: Any, place: RowPlace) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the tokens of a table's structure, and its cells."""
    parts = html if isinstance(html, dict) else {}
    structure, cells = parts.get("structure"), parts.get("cells")
    tokens = structure.get("tokens") if isinstance(structure, dict) else None
    if not (isinstance(tokens, list) and isinstance(cells, list) and _are_tokens(tokens) and all(map(_is_cell, cells))):
        place.refuse("html", "wrong-type", f"must have structure and cells, each with tokens, got {quote(html)}")
    return tokens, cells


def _is_cell(cell: Any) -> bool:
    return isinstance(cell, dict) and isinstance(cell.get("tokens"), list) and _are_tokens(cell["tokens"])


def _are_tokens(tokens: list[Any]) -> bool:
    return all(isinstance(token, str) for token in tokens)


def _html(tokens: list[str], cells: list[dict[str, Any]], place: RowPlace) -> str:
    """Put the cells' content into the structure, behind the end of each `<td>`, and a table around it."""
    contents = ["".join(escape(one) if len(one) == 1 else one for one in cell["tokens"]) for cell in cells]
    ends = [place_of for place_of, token in enumerate(tokens) if token in ("<td>", ">")]
    if len(ends) != len(contents):
        place.refuse("html", "unequal-cells", f"has {len(ends)} <td> and {len(contents)} cells")
    filled = list(tokens)
    for end, content in zip(ends, contents, strict=True):
        filled[end] += content
    return read_text(f"<table>{''.join(filled)}</table>", "html", place)


def _read_cell(number: int, cell: dict[str, Any], image_size: tuple[int, int], place: RowPlace) -> Instance | None:
    """Read a cell's box; None where it has none, as empty cells have."""
    if "bbox" not in cell:
        return None
    name, value = f"cells[{number}].bbox", cell["bbox"]
    box = read_box(value, BoxFormat.xyxy_pixels, image_size, name, place, bad_boxes=BadBoxes.refuse)
    assert box is not None, "boxes are repaired away on demand alone"
    return Instance(label=str(number), box=box)
