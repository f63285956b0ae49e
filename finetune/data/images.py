"""Encoded images to square RGB pixels. Nothing is left to a decoder's defaults; these are the rules:

    what arrives                            what happens
    JPEG PNG WEBP BMP TIFF GIF              decoded; any other content is refused, whatever the file's name says
    more than max_pixels, sides over 50:1   refused by the header, before anything is decoded
    one single pixel                        refused (a placeholder, not an image)
    not a regular file, empty, cut short    refused; half an image is never used, however little is missing
    several frames or pages                 the first one
    EXIF orientation                        applied (`finetune.data.transforms` turns annotations along)
    any colours                             8-bit RGB, by the table in `finetune.data.colors`

What changed a picture's appearance is counted in `DecodedImage.notes`.
"""

import hashlib
import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from finetune.data.colors import ColorError, to_rgb
from finetune.data.jpeg import decode_jpeg
from finetune.data.transforms import ORIENTATIONS, orient_pixels
from finetune.settings import Resize
from finetune.types import (
    IMAGE_FORMATS,
    BadSampleError,
    ImageBytes,
    ImageFile,
    ImagePixels,
    ImageReference,
    OutlinedImage,
    PlainImage,
)

MAX_ASPECT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """An image as people see it.

    Args:
        orientation: The EXIF orientation that was applied, 1..8; 1 where there was none.
        notes: What changed its appearance, for counting.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    orientation: int = 1
    notes: tuple[str, ...] = ()


def decode_image(reference: ImageReference, *, max_pixels: int, background: int) -> DecodedImage:
    """Decode one image by the rules above; what is to be painted on it is left to its reader.

    Args:
        max_pixels: Refuse more than this, width times height.
        background: Grey level (0..255) behind transparent pixels.

    Raises:
        BadSampleError: If a rule refuses it, with the reference's name as origin and no sample id.
    """
    if isinstance(reference, OutlinedImage):
        reference = reference.image
    with _naming(reference):
        if isinstance(reference, ImagePixels):
            _check_shape(reference.pixels.shape[1], reference.pixels.shape[0], max_pixels)
            return DecodedImage(pixels=reference.pixels)
        # Pillow warns about doubtful metadata and large headers; all that matters is checked here.
        with warnings.catch_warnings(action="ignore"), _stream(reference) as stream, _opened(stream) as image:
            _check_shape(image.width, image.height, max_pixels)
            return _decode(stream, image, background)


def held(reference: ImageReference) -> ImageReference:
    """Read a file of ordinary size into memory, so that taking its key and decoding it read it once.

    Raises:
        BadSampleError: If it cannot be read.
    """
    if isinstance(reference, OutlinedImage):
        return replace(reference, image=_held(reference.image))
    return _held(reference)


def _held(reference: PlainImage) -> PlainImage:
    if not isinstance(reference, ImageFile):
        return reference
    with _naming(reference), _stream(reference) as stream:
        data = stream.read(_MOST_HELD_BYTES + 1)
    return reference if len(data) > _MOST_HELD_BYTES else ImageBytes(name=reference.name, data=data)


def content_key(reference: ImageReference) -> str:
    """Return what is the same for two images only if their bytes are: a sha256, in hexadecimal, and what is painted.

    Raises:
        BadSampleError: If a file cannot be read.
    """
    if isinstance(reference, OutlinedImage):
        return f"{content_key(reference.image)} {reference.box} {reference.color}"
    if isinstance(reference, ImagePixels):
        height, width, _ = reference.pixels.shape
        content = np.ascontiguousarray(reference.pixels)
        return hashlib.sha256(f"{height} x {width} pixels:".encode() + content.tobytes()).hexdigest()
    with _naming(reference), _stream(reference) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def resize(
    pixels: UInt8[np.ndarray, "h w 3"], *, image_size: int, method: Resize, antialias: bool
) -> UInt8[Tensor, "3 size size"]:
    """Squeeze an image to a square, whatever its aspect ratio.

    Args:
        image_size: Side of the square, in pixels.
        method: `reference` interpolates between pixel centres and drops the fraction, `reference_rounded` rounds it;
            `hf` is Pillow's bicubic, and
            `hf_fast` torch's, whose weights have fewer bits: one pixel in 300 differs by one level, rarely by two.
        antialias: Whether `reference` widens its kernel when it shrinks; the other two always do.

    Source:
        big_vision pp/ops_image.py `get_resize` (0127fb6); transformers SiglipImageProcessorPil; transformers
        SiglipImageProcessor, whose torchvision hands uint8 to torch as it is.
    """
    size = (image_size, image_size)
    if method is Resize.hf:
        resized = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).contiguous()
    levels = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    if method is Resize.hf_fast:
        return functional.interpolate(levels, size, mode="bicubic", align_corners=False, antialias=True)[0].contiguous()
    values = levels.float()
    values = functional.interpolate(values, size, mode="bilinear", align_corners=False, antialias=antialias)
    # Weights that add up to 1 - 1e-7 would drop a flat 200 to 199. Measured: below 7e-4 up to 7000 x 7000.
    return (values[0] + (0.5 if method is Resize.reference_rounded else _ROUNDING_ERROR)).clamp(0, 255).to(torch.uint8)


_ROUNDING_ERROR = 1e-3
# Any photograph; a scanned book of many pages is read as far as it is needed.
_MOST_HELD_BYTES = 64 << 20


@contextmanager
def _naming(reference: ImageReference) -> Iterator[None]:
    """Say which image a rule refuses."""
    try:
        yield
    except _RefusalError as refusal:
        raise BadSampleError(
            origin=reference.name, sample_id="", field_name="image", code=refusal.code, message=str(refusal)
        ) from refusal.__cause__


class _RefusalError(Exception):
    """A rule that refuses the image, before it is known which sample it belongs to."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _decode(stream: io.BytesIO | io.BufferedReader, image: Image.Image, background: int) -> DecodedImage:
    """Turn an opened image into pixels; its size has been checked."""
    with _decoding():
        has_more = getattr(image, "is_animated", False)
        orientation = left_to_turn = _orientation(image)
        pixels, converted = decode_jpeg(stream, image), None
        if pixels is None:
            image.load()
            # Pillow turns TIFF while it loads them, and drops the tag.
            left_to_turn = _orientation(image)
            pixels, converted = _colors(image, background)
    changes = {
        "images with several frames cut to the first": has_more,
        "images turned by their EXIF orientation": orientation != 1,
        converted or "": converted is not None,
    }
    notes = tuple(change for change, happened in changes.items() if happened)
    return DecodedImage(pixels=orient_pixels(pixels, left_to_turn), orientation=orientation, notes=notes)


def _colors(image: Image.Image, background: int) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    try:
        return to_rgb(image, background)
    except ColorError as error:
        raise _RefusalError("unsupported-colors", str(error)) from None


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation; 1 where there is none or it makes no sense, as viewers do."""
    orientation: object = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if isinstance(orientation, int) and orientation in ORIENTATIONS else 1


@contextmanager
def _stream(reference: ImageFile | ImageBytes) -> Iterator[io.BytesIO | io.BufferedReader]:
    with _open_regular(reference.path) if isinstance(reference, ImageFile) else io.BytesIO(reference.data) as stream:
        if not stream.read(1):
            raise _RefusalError("empty-file", "the image is empty (0 bytes); fetch or export it again")
        stream.seek(0)
        yield stream


def _open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file. Anything else may block for ever (a FIFO) or never end (a device)."""
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
        stream = path.open("rb") if is_regular else None
    except FileNotFoundError:
        raise _RefusalError("missing-file", f"{path} does not exist; check the name") from None
    except (OSError, ValueError) as error:
        raise _RefusalError("unreadable-file", f"it cannot be opened: {error}; check name and permissions") from error
    if stream is None:
        raise _RefusalError("not-a-file", f"{path} is not a regular file; name an image")
    return stream


@contextmanager
def _opened(stream: io.BytesIO | io.BufferedReader) -> Iterator[Image.Image]:
    """Read the header, by the formats that we know and no others."""
    with _decoding():
        try:
            image = Image.open(stream, formats=IMAGE_FORMATS)
        except UnidentifiedImageError:
            message = (
                f"the content is none of {', '.join(IMAGE_FORMATS)}, or its header is cut short; fetch or convert it"
            )
            raise _RefusalError("unknown-format", message) from None
        except Image.DecompressionBombError as error:
            raise _RefusalError("too-many-pixels", f"{error}; store a smaller copy") from None
    with image:
        yield image


@contextmanager
def _decoding() -> Iterator[None]:
    """Refuse what a decoder trips over."""
    try:
        yield
    except (_RefusalError, MemoryError):
        raise
    except Exception as error:
        # Whatever the parser of a broken file raises (OSError, SyntaxError, struct.error, ...): it is broken.
        is_cut = "truncated" in str(error).lower()
        code, what = (
            ("truncated-image", "the image is cut short") if is_cut else ("broken-image", "the image is damaged")
        )
        raise _RefusalError(code, f"{what} ({error}); fetch or export it again") from error


def _check_shape(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        message = f"{width} x {height} pixels exceed data.max_pixels={max_pixels}; store a smaller copy or raise it"
        raise _RefusalError("too-many-pixels", message)
    if width * height <= 1:
        raise _RefusalError(
            "single-pixel", f"{width} x {height} pixels are a placeholder, not an image; fetch it again"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        message = (
            f"{width} x {height} pixels are longer than {MAX_ASPECT}:1; squeezed to a square nothing remains of it: "
            "store it in pieces"
        )
        raise _RefusalError("extreme-aspect", message)
