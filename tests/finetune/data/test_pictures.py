"""Images for pages."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetune.data.pictures import picture_of
from finetune.geometry import Box
from finetune.types import BadSampleError, ImageBytes, ImageFile, ImagePixels, OutlinedImage


def _encoded(image: Image.Image, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    return stream.getvalue()


def test_a_picture_is_turned_as_people_see_it_and_white_where_nothing_is() -> None:
    encoded = _encoded(Image.new("RGBA", (60, 40), (0, 0, 0, 0)), orientation=6)
    picture = picture_of(ImageBytes(name="photo", data=encoded))
    assert picture.shape == (60, 40, 3)
    assert (picture == 255).all()


def test_a_picture_comes_from_a_file_or_from_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_encoded(Image.new("RGB", (3, 2), (1, 2, 3))))
    pixels = picture_of(ImageFile(name="a", path=tmp_path / "a.png"))
    assert pixels[0, 0].tolist() == [1, 2, 3]
    again = picture_of(ImagePixels(name="a", pixels=np.array(pixels)))
    assert np.array_equal(again, pixels)


def test_a_broken_picture_is_a_bad_sample() -> None:
    with pytest.raises(BadSampleError, match="empty-file"):
        picture_of(ImageBytes(name="photo", data=b""))


def test_a_picture_shows_the_outline_that_the_model_sees() -> None:
    white = ImagePixels(name="a", pixels=np.full((10, 20, 3), 255, np.uint8))
    picture = picture_of(OutlinedImage(image=white, box=Box(top=0.5, left=0, bottom=1, right=1), color=(0, 0, 255)))
    assert picture[4, 7].tolist() == [0, 0, 255]
    assert picture[6, 7].tolist() == [255, 255, 255]
    assert (white.pixels == 255).all()
