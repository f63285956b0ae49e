"""Crossmodal-3600, on captions made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.xm3600 import Xm3600
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "xm3600"


def test_a_row_is_a_photograph_in_one_language() -> None:
    sample = Xm3600(root=str(ASSET)).open("zh")[1]
    assert sample.sample_id == "0000000000009701_zh"
    assert (sample.language, sample.category) == ("zh", "zh")
    assert sample.captions == ("zh: A box.", "zh: One box.")
    assert sample.images[0].name == "images/0000000000009701.jpg"


def test_references_can_be_had_in_words() -> None:
    assert Xm3600(root=str(ASSET), tokenized=True).open("en")[0].captions == ("en : A box .", "en : One box .")


def test_all_languages_are_36_times_the_photographs() -> None:
    source = Xm3600(root=str(ASSET)).open("test")
    samples = [source[index] for index in range(len(source))]
    assert len({sample.language for sample in samples}) == 36
    assert len({sample.sample_id for sample in samples}) == len(samples) == 72
    assert "quz" in {sample.language for sample in samples}


def test_languages_can_be_summed_and_others_are_refused() -> None:
    dataset = Xm3600(root=str(ASSET))
    assert len(dataset.open("en+quz")) == 4
    with pytest.raises(ValueError, match="there is no split 'tlh'"):
        dataset.open("tlh")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no captions.jsonl.*google.github.io/crossmodal-3600"):
        Xm3600(root=str(tmp_path)).open("en")


def test_a_photograph_without_a_language_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "xm3600"
    shutil.copytree(ASSET, root)
    lines = [json.loads(line) for line in (root / "captions.jsonl").read_text().splitlines()]
    del lines[0]["sw"]
    (root / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = Xm3600(root=str(root)).open("sw")
    with pytest.raises(BadSampleError, match=r"captions.jsonl: image 0000000000009700_sw: sw: must be an object"):
        source[0]
    assert source[1].captions
