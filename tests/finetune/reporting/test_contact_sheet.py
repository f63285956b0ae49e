import numpy as np
import pytest

from finetune.reporting.contact_sheet import contact_sheet


def grey(level: int, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def test_one_image_is_only_shrunk() -> None:
    assert contact_sheet([grey(7, 200, 100)], 50).shape == (50, 25, 3)
    assert contact_sheet([grey(7, 20, 10)], 50).shape == (20, 10, 3)


def test_two_images_stand_side_by_side_in_order() -> None:
    sheet = contact_sheet([grey(10, 100, 100), grey(20, 50, 100)], 100)
    assert sheet.shape == (50, 104, 3)
    assert (sheet[:, :50] == 10).all()
    assert (sheet[:25, 54:] == 20).all()
    assert (sheet[25:, 54:] == 255).all(), "a wide image keeps its proportions"


@pytest.mark.parametrize(("num_images", "rows", "columns"), [(3, 2, 2), (8, 3, 3), (16, 4, 4)])
def test_frames_follow_one_another_in_rows(num_images: int, rows: int, columns: int) -> None:
    sheet = contact_sheet([grey(number, 64, 64) for number in range(num_images)], 64)
    side = 64 // columns
    assert sheet.shape == (rows * (side + 4) - 4, columns * (side + 4) - 4, 3)
    for number in range(num_images):
        top, left = number // columns * (side + 4), number % columns * (side + 4)
        assert (sheet[top : top + side, left : left + side] == number).all()
