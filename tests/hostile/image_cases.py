"""Bad input, images: what lies under a name that a row gives."""

import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Exif

from tests.hostile.cases import Row, Verdict, bomb, claimed_png, encoded, flipped, named_row, picture

_JPEG = encoded(picture(240, 320), "JPEG", quality=95)
_PNG = encoded(picture(240, 320), "PNG")
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def _image(name: str, data: bytes, verdict: Verdict, reference: str, words: str = "", differs: str = "") -> Row:
    return Row(
        name=name,
        row=named_row(image="@/bad.jpg"),
        files=lambda folder: _write(folder, data),
        verdict=verdict,
        reference=reference,
        words=words,
        differs=differs,
    )


def _write(folder: Path, data: bytes) -> None:
    (folder / "bad.jpg").write_bytes(data)


def _no_file(name: str, make: object, words: str) -> Row:
    return Row(
        name=name,
        row=named_row(image="@/bad.jpg"),
        files=lambda folder: make(folder / "bad.jpg"),  # type: ignore[operator]
        verdict=Verdict.row,
        reference="E",
        words=words,
    )


def _oriented(orientation: int) -> bytes:
    exif = Exif()
    exif[0x0112] = orientation
    return encoded(picture(), "JPEG", exif=exif)


def _frames(form: str) -> bytes:
    return encoded(picture(), form, save_all=True, append_images=[picture().rotate(180)])


def _transparent(mode: str) -> bytes:
    image = picture().convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return encoded(image, "PNG")


def _levels(dtype: str, form: str) -> bytes:
    return encoded(Image.fromarray(np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(dtype)), form)


def _twelve_bits() -> bytes:
    """A JPEG whose frame header says 12 bits a sample, as medical cameras write them."""
    return _JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c", 1)


_ROW, _FIXED, _FINE = Verdict.row, Verdict.fixed, Verdict.fine
_SEVERAL, _ALPHA = "several frames cut to the first", "transparency put on data.background"
_TURNED, _SCALED = "turned by their EXIF orientation", "scaled from 16 to 8 bits"

IMAGES = [
    _image("an empty file", b"", _ROW, "S", "empty-file"),
    _image("10 bytes of a JPEG", _JPEG[:10], _ROW, "S", "truncated-image"),
    _image("100 bytes of a JPEG", _JPEG[:100], _ROW, "S", "truncated-image"),
    _image("half a JPEG", _JPEG[: len(_JPEG) // 2], _ROW, "S", "truncated-image"),
    _image(
        "a JPEG without its end mark",
        _JPEG[:-2],
        _ROW,
        "O",
        "truncated-image",
        differs="Pillow cannot tell a missing mark from missing pixels, and what is refused must not depend on whether "
        "the stricter decoder of the jpeg extra is installed",
    ),
    _image("a PNG cut in its pixels", _PNG[: len(_PNG) // 2], _ROW, "S", "truncated-image"),
    _image("a PNG without its end mark", _PNG[:-12], _FINE, "O", differs="the warning is left out: no pixel is lost"),
    _image("a PNG without its last checksum", _PNG[:-4], _FINE, "O", differs="as a PNG without its end mark"),
    _image("a PNG with a flipped byte", flipped(_PNG, len(_PNG) // 2), _ROW, "S", "broken-image"),
    _image(
        "a JPEG with a flipped byte",
        flipped(_JPEG, len(_JPEG) // 2),
        _FINE,
        "E",
        differs="it decodes without a complaint; only a checksum of the data set's own could tell, and rows carry none",
    ),
    _image("a web page named .jpg", b"<!DOCTYPE html><html><body>404</body></html>", _ROW, "S", "unknown-format"),
    _image("PostScript named .jpg", _EPS, _ROW, "E", "unknown-format"),
    _image("SVG named .jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", _ROW, "E", "unknown-format"),
    _image("a PDF named .jpg", b"%PDF-1.7\n1 0 obj\n", _ROW, "E", "unknown-format"),
    _image("a zip archive named .jpg", b"PK\x03\x04" + bytes(60), _ROW, "E", "unknown-format"),
    _image("a header of 100 000 squared", claimed_png(100_000, 100_000, bytes(9)), _ROW, "E", "too-many-pixels"),
    _image("a bomb of 81 Mpx", bomb(9_000), _ROW, "E", "too-many-pixels"),
    _image("a bomb of 144 Mpx", bomb(12_000), _ROW, "E", "too-many-pixels"),
    _image("a bomb of 400 Mpx", bomb(20_000), _ROW, "E", "too-many-pixels"),
    _image("one pixel", encoded(Image.new("RGB", (1, 1)), "PNG"), _ROW, "E", "single-pixel"),
    _image("a line of 1 x 20 000", encoded(Image.new("L", (1, 20_000)), "PNG"), _ROW, "E", "extreme-aspect"),
    _image("CMYK", encoded(picture().convert("CMYK"), "JPEG"), _FIXED, "F", "converted from CMYK"),
    _image("grey with alpha", _transparent("LA"), _FIXED, "F", _ALPHA),
    _image("colour with alpha", _transparent("RGBA"), _FIXED, "F", _ALPHA),
    _image(
        "a palette with transparency",
        encoded(picture().convert("P"), "PNG", transparency=bytes(range(256))),
        _FIXED,
        "F",
        _ALPHA,
    ),
    _image("16-bit PNG", _levels("uint16", "PNG"), _FIXED, "F", _SCALED),
    _image("16-bit TIFF, big-endian", _levels(">u2", "TIFF"), _FIXED, "F", _SCALED),
    _image("32-bit TIFF of 16-bit levels", _levels("int32", "TIFF"), _FIXED, "F", _SCALED),
    _image(
        "floating-point TIFF",
        _levels("float32", "TIFF"),
        _ROW,
        "F",
        "unsupported-colors",
        differs="no file says what its black and white are, so that any scaling would be a guess",
    ),
    _image("an animated GIF", _frames("GIF"), _FIXED, "F", _SEVERAL),
    _image("an animated WebP", _frames("WEBP"), _FIXED, "F", _SEVERAL),
    _image("a TIFF of two pages", _frames("TIFF"), _FIXED, "F", _SEVERAL),
    _image("EXIF orientation 1", _oriented(1), _FINE, "F", differs="there is nothing to fix"),
    *(_image(f"EXIF orientation {number}", _oriented(number), _FIXED, "F", _TURNED) for number in range(2, 9)),
    _image("EXIF orientation 9", _oriented(9), _FINE, "", differs=""),
    _image("a progressive JPEG", encoded(picture(), "JPEG", progressive=True), _FINE, "O"),
    _image("an ICC profile that is none", encoded(picture(), "JPEG", icc_profile=bytes(300)), _FINE, "O"),
    _image("12 bits a sample", _twelve_bits(), _ROW, "S", "unknown-format"),
    _image("a TIFF whose pixels lie elsewhere", encoded(picture(), "TIFF")[:-10], _ROW, "S", "truncated-image"),
    _image(
        "a BMP with a size below 0", b"BM" + struct.pack("<IHHIIiiHH", 60, 0, 0, 54, 40, -5, -5, 1, 24), _ROW, "", ""
    ),
    _no_file("a FIFO", os.mkfifo, "not-a-file"),
    _no_file("a folder", Path.mkdir, "not-a-file"),
    _no_file("a link to a device", lambda path: path.symlink_to("/dev/zero"), "path-outside-folder"),
]
