"""Predictions as pictures: a file for every image with what was said drawn on it, and a page that shows them all."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from finetune.config.naming import as_file_name
from finetune.data.pictures import picture_of
from finetune.evaluate import gallery
from finetune.reporting import drawing
from finetune.reporting.drawing import jpeg_bytes, label_colours, shrink
from finetune.reporting.page import facts_html, page_html, sections_html
from finetune.reporting.painting import paint
from finetune.reporting.rows import PredictionRow
from finetune.reporting.strict_json import write_file
from finetune.types import Source

PAGE = "index.html"
# A page of more would be slow to open; the files are there for all.
_MOST_ON_PAGE = 200
_PAGE_PIXELS = 448


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One prediction, and where its image comes from."""

    row: PredictionRow
    source: Source
    index: int


def write_drawings(folder: Path, predictions: Sequence[Drawn]) -> Path:
    """Write an image for each prediction in its own resolution, and the page; return the page's path.

    Boxes and masks are painted; a text without any leaves its image as it is, and stands on the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    colours = label_colours(instance.label for one in predictions for instance in one.row.predicted)
    shown: list[PredictionRow] = []
    for one, name in zip(predictions, _file_names(predictions), strict=True):
        # Boxes and masks refer to the first image.
        pixels = picture_of(one.source[one.index].images[0])
        Image.fromarray(paint(pixels, one.row.predicted, colours)).save(folder / name, quality=92)
        if len(shown) < _MOST_ON_PAGE:
            shown.append(replace(one.row, thumbnail_jpeg=jpeg_bytes(shrink(pixels, _PAGE_PIXELS))))
    write_file(folder / PAGE, _page(folder.name, shown, num_all=len(predictions)))
    return folder / PAGE


def _page(title: str, rows: Sequence[PredictionRow], *, num_all: int) -> str:
    facts = {"images": f"{num_all:,}", "objects": f"{sum(len(row.predicted) for row in rows):,}"}
    if len(rows) < num_all:
        facts["shown here"] = f"the first {len(rows):,}"
    return page_html(
        title,
        facts=facts_html(facts),
        body=sections_html({"Predictions": gallery.gallery_html(rows)}),
        styles=(gallery.STYLE, drawing.STYLE),
    )


def _file_names(predictions: Sequence[Drawn]) -> Iterator[str]:
    """Name files after the images' own, and after the whole of an id where that would name two."""
    stems = [Path(one.row.sample_id).stem for one in predictions]
    counts = Counter(stem.casefold() for stem in stems)
    for one, stem in zip(predictions, stems, strict=True):
        yield as_file_name(stem if counts[stem.casefold()] == 1 else one.row.sample_id) + ".jpg"
