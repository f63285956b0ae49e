"""Total-Text, on words made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.total_text import TotalText
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "total_text"


def test_a_row_is_an_image_with_its_words_however_they_are_quoted() -> None:
    sample = TotalText(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "train/img11"
    words = sample.instances or ()
    assert [(word.label, word.is_crowd) for word in words] == [("JOE'S", False), ("###", True)]
    assert words[0].box.to_xyxy_pixels((48, 64)) == pytest.approx((6, 6, 58, 20))


def test_escaped_letters_are_read() -> None:
    words = TotalText(root=str(ASSET)).open("train")[1].instances or ()
    assert [word.label for word in words] == ["CAFÉ"]


def test_a_polygon_over_the_edge_is_clipped_and_counted() -> None:
    sample = TotalText(root=str(ASSET)).open("test")[0]
    assert sample.notes == {"boxes clipped to the image": 1}


def test_splits_have_folders_of_their_own_and_add_up() -> None:
    assert len(TotalText(root=str(ASSET)).open("train+test")) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x: [[1 2]], y: [[3 4]], ornt: [u'h'], transcriptions: [OPEN]", "has words that are not x"),
        ("x: [[1 2]], y: [[3]], ornt: [u'h'], transcriptions: [u'OPEN']", r"words\[0\]: must have as many x as y"),
        ("x: [[]], y: [[]], ornt: [u'h'], transcriptions: [u'OPEN']", r"words\[0\]: must have as many x as y"),
    ],
)
def test_a_broken_word_is_refused_by_image(tmp_path: Path, content: str, message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "txt_format" / "Test" / "poly_gt_img1.txt").write_text(content)
    with pytest.raises(BadSampleError, match=rf"txt_format/Test/poly_gt_img1.txt: image test/img1: .*{message}"):
        TotalText(root=str(tmp_path / "copy")).open("test")[0]


def test_a_missing_or_empty_folder_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset.root: there is no folder .*Images/Train"):
        TotalText(root=str(tmp_path)).open("train")
    (tmp_path / "Images" / "Train").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"has no image; unpack totaltext.zip"):
        TotalText(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'val'"):
        TotalText(root=str(ASSET)).open("val")
