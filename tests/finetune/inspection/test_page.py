import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from finetune.data.encode import SampleEncoder
from finetune.data.skips import Skip
from finetune.geometry import Box
from finetune.inspection.page import inspection_html, write_page
from finetune.inspection.statistics import Inspection, inspect_split
from finetune.reporting.progress import NoProgress
from finetune.types import ImagePixels, Instance, Sample
from recipes.vqa import Vqa

VOID = {"meta", "img", "link", "br", "input"}
EVIL = '<img src=x onerror="alert(1)">&\'{}'


class Balance(HTMLParser):
    """Checks that every element is closed by its own end tag, and collects attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.extend(attrs)
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag


def _parse(html: str) -> Balance:
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert parser.open_tags == []
    return parser


def test_the_page_is_well_formed_and_shows_every_sample(inspection: Inspection) -> None:
    html = inspection_html(inspection, "scenes, split train")
    _parse(html)
    assert len(inspection.shown) == 5
    for sample in inspection.shown:
        assert f"<b>{sample.sample_id}</b>" in html
        assert sample.suffix.replace("<", "&lt;").replace(">", "&gt;") in html
    assert "scenes, split train" in html
    assert html.count("data:image/jpeg;base64,") == 6


def test_the_page_says_what_counts_as_a_duplicate(inspection: Inspection) -> None:
    html = inspection_html(inspection, "scenes")
    assert "Equal suffixes of different images are no duplicates.</p><p>None.</p>" in html


def test_the_page_asks_nothing_of_the_network(inspection: Inspection) -> None:
    html = inspection_html(inspection, "scenes")
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|url\(", html)
    for name, value in _parse(html).attributes:
        if name in ("src", "href"):
            assert value is not None
            assert value.startswith("data:image/jpeg;base64,")
        assert not name.startswith("on")


def test_text_from_the_data_is_never_markup(encoder: SampleEncoder) -> None:
    class OneSample:
        block_size = None

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Sample:
            image = ImagePixels(name="i", pixels=np.zeros((20, 30, 3), dtype=np.uint8))
            return Sample(
                sample_id=f"{EVIL}{index}",
                origin=EVIL,
                images=(image,),
                question=EVIL,
                answers=(EVIL,),
                instances=(Instance(label=EVIL, box=Box(top=0, left=0, bottom=1, right=1)),),
                label_set=(EVIL,),
            )

    found = inspect_split(OneSample(), Vqa(), encoder, num_shown=2, progress=NoProgress())
    skip = Skip(sample_id=EVIL, origin=EVIL, field_name=EVIL, code=EVIL, message=EVIL, index=0)
    html = inspection_html(replace(found, skips=(skip,), notes={EVIL: 1}), EVIL)
    assert "<img src=x" not in html
    assert not any(name == "onerror" for name, _ in _parse(html).attributes)
    assert html.count("&lt;img src=x") > 10


def test_bad_samples_are_listed_with_place_field_and_reason(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.inspection.page._MOST_ROWS", 200)
    skips = tuple(
        Skip(sample_id="", origin=f"train.jsonl:{i}", field_name="boxes[3]", code="empty-box", message="m", index=i)
        for i in range(300)
    )
    html = inspection_html(replace(inspection, skips=skips), "jsonl")
    _parse(html)
    assert "<td>empty-box</td><td>300</td>" in html
    assert "<td>train.jsonl:199</td>" in html
    assert "train.jsonl:200" not in html
    assert "the first 200 of them" in html


def test_an_empty_inspection_has_a_page(inspection: Inspection) -> None:
    nothing = replace(
        inspection,
        text_tokens=None,
        longest=None,
        labels=(),
        side_percent=None,
        objects_per_image=None,
        image_sizes=(),
        shown=(),
    )
    _parse(inspection_html(nothing, "nothing"))


def test_the_page_is_written_as_one_file(inspection: Inspection, tmp_path: Path) -> None:
    write_page(inspection, tmp_path / "deep" / "page.html", title="scenes")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
