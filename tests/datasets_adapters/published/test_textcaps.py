"""TextCaps, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.textcaps import TextCaps
from finetune.published import Submits
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "textcaps"


def test_an_images_rows_become_one_sample_without_empty_captions() -> None:
    source = TextCaps(root=str(ASSET)).open("train")
    assert [source[index].sample_id for index in range(len(source))] == [f"00000000000093a{n}" for n in range(3)]
    assert source[0].captions == ("A Box labelled STOP.", "A box says Stop on it.")
    assert source[0].images[0].name == "train_images/00000000000093a0.jpg"


def test_the_validation_images_lie_among_those_of_training() -> None:
    sample = TextCaps(root=str(ASSET)).open("val")[0]
    assert sample.images[0].name == "train_images/00000000000093b0.jpg"
    assert sample.public_id == "00000000000093b0"


def test_the_test_split_has_no_captions_and_says_what_its_server_takes() -> None:
    dataset = TextCaps(root=str(ASSET))
    assert isinstance(dataset, Submits)
    sample = dataset.open("test")[0]
    assert (sample.captions, sample.images[0].name) == ((), "test_images/00000000000093c0.jpg")


def test_an_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="there is no split 'validation'"):
        TextCaps(root=str(ASSET)).open("validation")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no TextCaps_0.1_test.json.*textvqa.org/textcaps"):
        TextCaps(root=str(tmp_path)).open("test")


def test_an_image_without_any_caption_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "textcaps"
    shutil.copytree(ASSET, root)
    path = root / "TextCaps_0.1_train.json"
    whole = json.loads(path.read_text())
    for row in whole["data"][:3]:
        row["caption_str"] = ""
    path.write_text(json.dumps(whole))
    source = TextCaps(root=str(root)).open("train")
    with pytest.raises(BadSampleError, match=r"TextCaps_0.1_train.json: image 00000000000093a0: caption_str"):
        source[0]
    assert source[1].captions
