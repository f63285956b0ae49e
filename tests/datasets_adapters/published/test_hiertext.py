"""HierText, on words made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.hiertext import HierText
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "hiertext"


def test_a_row_is_an_image_with_the_words_of_all_its_lines() -> None:
    sample = HierText(root=str(ASSET)).open("train")[0]
    assert (sample.sample_id, sample.image_size) == ("000000000000001a", (48, 64))
    words = sample.instances or ()
    assert [(word.label, word.is_crowd) for word in words] == [("SOLD", False), ("OUT", False), ("###", True)]
    assert words[1].box.to_xyxy_pixels((48, 64)) == pytest.approx((34, 4, 60, 12))


def test_splits_have_files_of_their_own_and_add_up() -> None:
    assert len(HierText(root=str(ASSET)).open("train+validation")) == 2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ({"vertices": []}, r"words\[0\]: must have vertices"),
        ({"vertices": [[1, "2"]]}, r"words\[0\]: must be a number"),
        ({"text": ""}, r"words\[0\]: must not be empty"),
    ],
)
def test_a_broken_word_is_refused_by_file_and_image(tmp_path: Path, word: dict[str, object], message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "gt" / "validation.jsonl"
    content = json.loads(path.read_text())
    content["annotations"][0]["paragraphs"][0]["lines"][0]["words"][0] |= word
    path.write_text(json.dumps(content))
    with pytest.raises(BadSampleError, match=rf"validation.jsonl: image 000000000000002b: {message}"):
        HierText(root=str(tmp_path / "copy")).open("validation")[0]


@pytest.mark.parametrize("paragraphs", [7, [None], [{"lines": [3]}], [{"lines": [{"words": {"text": "A"}}]}]])
def test_what_holds_no_words_is_refused_by_file_and_image(tmp_path: Path, paragraphs: object) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "gt" / "validation.jsonl"
    content = json.loads(path.read_text())
    content["annotations"][0]["paragraphs"] = paragraphs
    path.write_text(json.dumps(content))
    with pytest.raises(BadSampleError, match=r"validation.jsonl: image 000000000000002b: paragraphs: must be a list"):
        HierText(root=str(tmp_path / "copy")).open("validation")[0]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no gt/train.jsonl.*google-research-datasets/hiertext"):
        HierText(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'test'"):
        HierText(root=str(ASSET)).open("test")
