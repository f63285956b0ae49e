"""TextOCR, on words made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.textocr import TextOcr
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "textocr"


def test_a_row_is_an_image_with_its_words() -> None:
    sample = TextOcr(root=str(ASSET)).open("train")[0]
    assert (sample.sample_id, sample.image_size) == ("000000000000001a", (48, 64))
    words = sample.instances or ()
    assert [(word.label, word.is_crowd) for word in words] == [("SOLD", False), ("###", True)]
    assert words[0].box.to_xyxy_pixels((48, 64)) == pytest.approx((4, 4, 30, 12))


def test_images_of_both_splits_lie_in_one_folder() -> None:
    source = TextOcr(root=str(ASSET)).open("train+val")
    assert [source[index].images[0].name for index in range(len(source))] == [
        "train_images/000000000000001a.jpg",
        "train_images/000000000000002b.jpg",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": [1, 2, 3]}, r"words\[0\]: must have points"),
        ({"points": [1, "2"]}, r"words\[0\]: must be a number"),
        ({"utf8_string": None}, r"words\[0\]: must not be empty"),
    ],
)
def test_a_broken_word_is_refused_by_file_and_image(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "TextOCR_0.1_val.json"
    content = json.loads(path.read_text())
    content["anns"]["000000000000002b_1"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(BadSampleError, match=rf"TextOCR_0.1_val.json: image 000000000000002b: {message}"):
        TextOcr(root=str(tmp_path / "copy")).open("val")[0]


def test_a_word_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "TextOCR_0.1_val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"anns": {}}))
    with pytest.raises(BadSampleError, match=r"words\[0\]: must have points, x and y in turns, got None"):
        TextOcr(root=str(tmp_path / "copy")).open("val")[0]


@pytest.mark.parametrize(
    ("names", "message"), [(None, "imgToAnns: must be a list"), ([{}], r"words\[0\]: must have points")]
)
def test_an_image_without_a_list_of_words_is_refused(tmp_path: Path, names: object, message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "TextOCR_0.1_val.json"
    content = json.loads(path.read_text()) | {"imgToAnns": {"000000000000002b": names}}
    path.write_text(json.dumps(content))
    with pytest.raises(BadSampleError, match=rf"TextOCR_0.1_val.json: image 000000000000002b: {message}"):
        TextOcr(root=str(tmp_path / "copy")).open("val")[0]


def test_a_missing_or_other_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no TextOCR_0.1_train.json.*textvqa.org/textocr"):
        TextOcr(root=str(tmp_path)).open("train")
    (tmp_path / "TextOCR_0.1_train.json").write_text('{"imgs": {}}')
    with pytest.raises(ValueError, match=r"must have imgs \(of objects\), anns and imgToAnns; is it another file"):
        TextOcr(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'test'"):
        TextOcr(root=str(ASSET)).open("test")
