import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from finetune.data.colors import ColorError, to_rgb


def loaded(image: Image.Image, form: str, **how) -> Image.Image:
    """What a decoder hands out after the image went through a file."""
    stream = io.BytesIO()
    image.save(stream, form, **how)
    stream.seek(0)
    opened = Image.open(stream)
    opened.load()
    return opened


GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)


def test_grey_and_one_bit_images_repeat_their_level():
    pixels, change = to_rgb(loaded(Image.fromarray(GREY), "PNG"), 255)
    assert np.array_equal(pixels, np.stack([GREY] * 3, axis=-1))
    assert change is None
    pixels, _ = to_rgb(loaded(Image.fromarray(GREY > 127), "PNG"), 255)
    assert np.array_equal(pixels[..., 0], np.where(GREY > 127, 255, 0))


def test_a_palette_is_looked_up():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    pixels, change = to_rgb(loaded(palette, "PNG"), 255)
    assert pixels.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert change is None


def test_sixteen_bits_keep_their_high_byte_and_are_not_clipped_to_white():
    for form in ("PNG", "TIFF"):
        pixels, change = to_rgb(loaded(Image.fromarray(DEEP), form), 255)
        assert np.array_equal(pixels, np.stack([DEEP >> 8] * 3, axis=-1)), form
        assert change == "images scaled from 16 to 8 bits"


def test_the_byte_order_of_sixteen_bits_does_not_matter():
    for mode, kind in (("I;16", "<u2"), ("I;16B", ">u2")):
        image = Image.frombytes(mode, (16, 16), DEEP.astype(kind).tobytes())
        assert np.array_equal(to_rgb(image, 255)[0][..., 0], DEEP >> 8), mode


def test_wide_integers_that_hold_sixteen_bits_are_scaled_and_others_refused():
    image = loaded(Image.fromarray(DEEP.astype(np.int32)), "TIFF")
    assert image.mode == "I"
    assert np.array_equal(to_rgb(image, 255)[0][..., 0], DEEP >> 8)
    for value in (-1, 65536):
        with pytest.raises(ColorError, match="grey levels run from"):
            to_rgb(Image.fromarray(np.full((2, 2), value, dtype=np.int32)), 255)


def test_twelve_bits_in_a_tiff_reach_white():
    # One row of two pixels, 0xFFF and 0x800, packed into three bytes, written by hand: Pillow saves no 12-bit TIFF.
    tags = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 122)]
    tags += [(277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 3)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    content = (b"II*\0" + struct.pack("<I", 8) + directory).ljust(122, b"\0") + b"\xff\xf8\x00"
    image = Image.open(io.BytesIO(content))
    image.load()
    assert to_rgb(image, 255)[0][0, :, 0].tolist() == [0xFF, 0x80]


def test_sixteen_bits_a_channel_keep_their_high_byte():
    # A PNG of one pixel, red 0x1234, green 0x5678, blue 0x9ABC.
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0\x12\x34\x56\x78\x9a\xbc"))
    image = Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")))
    assert to_rgb(image, 255)[0].tolist() == [[[0x12, 0x56, 0x9A]]]


@pytest.mark.parametrize("background", [0, 128, 255])
def test_transparent_pixels_show_the_background_and_not_the_colour_under_them(background):
    rgba = Image.new("RGBA", (2, 1), (200, 10, 10, 255))
    rgba.putpixel((1, 0), (200, 10, 10, 0))
    grey = Image.new("LA", (2, 1), (200, 255))
    grey.putpixel((1, 0), (200, 0))
    keyed = Image.new("RGB", (2, 1), (200, 10, 10))
    keyed.putpixel((1, 0), (1, 2, 3))
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 10, 10, 77, 77, 77])
    palette.putpixel((1, 0), 1)
    red, level = [200, 10, 10], [200, 200, 200]
    for image, how, solid in (
        (rgba, {}, red),
        (grey, {}, level),
        (keyed, {"transparency": (1, 2, 3)}, red),
        (palette, {"transparency": 1}, red),
        (palette, {"transparency": b"\xff\x00"}, red),
    ):
        pixels, change = to_rgb(loaded(image, "PNG", **how), background)
        assert pixels.tolist() == [[solid, [background] * 3]], image.mode
        assert change == "images with transparency put on data.background"


def test_half_transparent_pixels_are_mixed():
    pixels, _ = to_rgb(loaded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG"), 255)
    assert pixels.tolist() == [[[127] * 3]]


def test_cmyk_is_converted_and_counted():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels, change = to_rgb(loaded(cmyk, "JPEG", quality=100), 255)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 3
    assert change == "images converted from CMYK"


def test_numbers_without_a_declared_range_are_refused():
    with pytest.raises(ColorError, match="floating-point"):
        to_rgb(Image.fromarray(np.zeros((2, 2), dtype=np.float32)), 255)
