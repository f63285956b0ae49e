"""nocaps, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.nocaps import NoCaps
from finetune.published import Submits
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "nocaps"


def test_a_row_is_a_photograph_with_its_captions_and_its_domain() -> None:
    source = NoCaps(root=str(ASSET)).open("val")
    assert [source[index].category for index in range(len(source))] == ["in-domain", "near-domain", "out-domain"]
    assert source[1].captions == (
        "A walrus of flat colour.",
        "A box that stands for a walrus.",
        "The walrus is a rectangle.",
    )
    assert source[1].images[0].name == "validation/0000000000009101.jpg"
    assert source[1].public_id == 1


def test_the_test_split_has_no_captions_and_says_what_its_server_takes() -> None:
    dataset = NoCaps(root=str(ASSET))
    assert isinstance(dataset, Submits)
    assert (dataset.submission.id_key, dataset.submission.answer_key) == ("image_id", "caption")
    sample = dataset.open("test")[0]
    assert (sample.captions, sample.category, sample.public_id) == ((), None, 4500)


def test_there_is_nothing_to_train_on() -> None:
    with pytest.raises(ValueError, match="there is no split 'train'"):
        NoCaps(root=str(ASSET)).open("train")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no nocaps_val_4500_captions.json.*nocaps.org/download"):
        NoCaps(root=str(tmp_path)).open("val")


def test_an_image_whose_captions_are_gone_is_named(tmp_path: Path) -> None:
    root = tmp_path / "nocaps"
    shutil.copytree(ASSET, root)
    path = root / "nocaps_val_4500_captions.json"
    whole = json.loads(path.read_text())
    whole["annotations"] = [row for row in whole["annotations"] if row["image_id"] != 2]
    path.write_text(json.dumps(whole))
    source = NoCaps(root=str(root)).open("val")
    with pytest.raises(BadSampleError, match=r"captions.json: image 2: annotations: holds no caption"):
        source[2]
    assert source[0].captions
