"""Painting letters over labels, against the original's rule: a white box, the largest font that fits, at its top."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from datasets_adapters.published.diagram_letters import Letter, letters_of, painted
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError, ImageFile

PLACE = RowPlace(origin="questions: question 1", sample_id="1")


@pytest.fixture
def grey(tmp_path: Path) -> ImageFile:
    Image.new("RGB", (200, 100), (128, 128, 128)).save(tmp_path / "grey.png")
    return ImageFile(name="grey.png", path=tmp_path / "grey.png")


def test_nothing_but_the_label_changes(grey: ImageFile) -> None:
    letter = Letter(text="A", left=20, top=10, right=80, bottom=50)
    pixels = painted(grey, [letter], None).pixels
    outside = np.ones(pixels.shape[:2], bool)
    outside[10:51, 20:81] = False
    assert (pixels[outside] == 128).all()
    # The corners of the box belong to it, as the original's do.
    assert (pixels[10, 20] == 255).all()
    assert (pixels[50, 80] == 255).all()


def test_the_letter_is_the_largest_that_fits_and_stands_in_the_middle(grey: ImageFile) -> None:
    pixels = painted(grey, [Letter(text="A", left=20, top=10, right=180, bottom=50)], None).pixels
    # Edges of strokes are greys; around the label all is 128.
    rows, columns = np.nonzero((pixels < 255).all(axis=2) & ~(pixels == 128).all(axis=2))
    sizes = [size for size in range(1, 101) if ImageFont.load_default(size=size).getbbox("A")[3] <= 40]
    left, top, right, bottom = ImageFont.load_default(size=max(sizes)).getbbox("A")
    assert abs(columns.min() - (20 + (160 - right) // 2 + left)) <= 1
    assert abs(rows.max() + 1 - (10 + bottom)) <= 1
    assert abs(rows.min() - (10 + top)) <= 1


def test_a_label_too_small_for_any_letter_is_blank_rather_than_an_error(grey: ImageFile) -> None:
    pixels = painted(grey, [Letter(text="A", left=20, top=10, right=20, bottom=10)], None).pixels
    assert pixels.shape == (100, 200, 3)


def test_letters_are_read_in_the_order_of_the_labels() -> None:
    labels = {
        "T1": {"rectangle": [[1, 2], [3, 4]], "replacementText": "B"},
        "T0": {"rectangle": [[5, 6], [7, 8]], "replacementText": "A"},
    }
    assert letters_of({"text": labels}, PLACE) == (
        Letter(text="B", left=1, top=2, right=3, bottom=4),
        Letter(text="A", left=5, top=6, right=7, bottom=8),
    )


@pytest.mark.parametrize(
    ("label", "complaint"),
    [
        ({"rectangle": [[1, 2], [3]], "replacementText": "A"}, "text.T0.rectangle: must be two corners"),
        ({"rectangle": [[3, 2], [1, 4]], "replacementText": "A"}, "text.T0.rectangle: must be ordered"),
        ({"rectangle": [[1, 2], [3, 4]]}, "text.T0.replacementText: must be text"),
    ],
)
def test_a_broken_label_is_refused_by_name(label: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadSampleError, match=f"questions: question 1: {complaint}"):
        letters_of({"text": {"T0": label}}, PLACE)


def test_annotations_without_labels_are_refused() -> None:
    with pytest.raises(BadSampleError, match="text: of the annotations must be an object of labels"):
        letters_of({}, PLACE)
