"""Screen2Words, on screens made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.screen2words import Screen2Words
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "screen2words"


def test_a_row_is_a_screen_with_its_summaries() -> None:
    sample = Screen2Words(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "9401"
    assert sample.images[0].name == "combined/9401.jpg"
    assert len(sample.captions) == 3


def test_a_comma_belongs_to_the_summary_in_quotes_or_not() -> None:
    sample = Screen2Words(root=str(ASSET)).open("train")[0]
    assert sample.captions[1:] == ("page of an app, with a box", "box, and nothing else")


def test_the_splits_are_those_of_the_lists() -> None:
    dataset = Screen2Words(root=str(ASSET))
    source = dataset.open("train+dev")
    assert [source[index].sample_id for index in range(len(source))] == ["9401", "9402", "9403"]
    with pytest.raises(ValueError, match="there is no split 'val'"):
        dataset.open("val")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no screen_summaries.csv.*google-research-datasets/screen2words"):
        Screen2Words(root=str(tmp_path)).open("train")


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "screen_summaries.csv").write_text("id,text\n1,two\n")
    with pytest.raises(ValueError, match="must begin with the line screenId,summary"):
        Screen2Words(root=str(tmp_path)).open("train")


def test_a_screen_that_nobody_summarised_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "screen2words"
    shutil.copytree(ASSET, root)
    (root / "split" / "train_screens.txt").write_text("9401\n9499\n")
    source = Screen2Words(root=str(root)).open("train")
    assert source[0].captions
    with pytest.raises(BadSampleError, match=r"train_screens.txt: screen 9499: summary: screen_summaries.csv has no"):
        source[1]
