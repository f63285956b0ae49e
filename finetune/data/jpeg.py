"""JPEG by libjpeg-turbo itself, without Pillow's detours, and only where the pixels are Pillow's, bit for bit.

    simplejpeg    the `jpeg` extra
    torchvision   where it is installed and imports; it does not beside a CPU build of torch
    Pillow        everything else: CMYK, damage of any kind, and where neither of the above is there

A decoder is used after it has decoded probes as Pillow does, in this very process: another libjpeg, another build or a
faster but rougher setting would be found out. Whatever a decoder finds odd about a file is left to Pillow, so that what
is refused, and why, does not depend on who decodes.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image

# A larger file is no photograph: Pillow reads what it needs of it and no more.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegDecoder:
    """A library that decodes JPEG.

    Args:
        decode: Encoded bytes with the (height, width) of their header, to RGB. Raises ValueError or RuntimeError for
            whatever is not in perfect order.
    """

    name: str
    decode: Callable[[bytes, tuple[int, int]], UInt8[np.ndarray, "h w 3"]]


def decode_jpeg(stream: io.BytesIO | io.BufferedReader, image: Image.Image) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decode a stream that Pillow has opened as `image` and not loaded; None where that is left to Pillow.

    The image must be one JPEG (or the first of several in one file), of the size that `image` has.
    """
    decoder = jpeg_decoder()
    if decoder is None or image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    stream.seek(0)
    data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        return None
    try:
        return decoder.decode(data, (image.height, image.width))
    except (ValueError, RuntimeError):
        return None


@cache
def jpeg_decoder() -> JpegDecoder | None:
    """Return the first decoder that is installed and gives Pillow's pixels; None where there is none."""
    for load in (_simplejpeg, _torchvision):
        try:
            decoder = load()
        # torchvision for CUDA beside a torch for CPUs fails with a RuntimeError, or an OSError for its libraries.
        except (ImportError, RuntimeError, OSError, AttributeError):
            continue
        if is_exact(decoder):
            return decoder
    return None


def is_exact(decoder: JpegDecoder) -> bool:
    """Decode probes of every common kind, and compare each with Pillow's pixels."""
    try:
        return all(_is_equal(decoder, probe) for probe in _probes())
    except (ValueError, RuntimeError):
        return False


def _is_equal(decoder: JpegDecoder, probe: bytes) -> bool:
    pixels = np.asarray(Image.open(io.BytesIO(probe)).convert("RGB"))
    return np.array_equal(decoder.decode(probe, pixels.shape[:2]), pixels)


def _probes() -> list[bytes]:
    """Return a noisy picture whose sides are no multiples of a block, in colour and grey, at 4:4:4 and 4:2:0."""
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (43, 61, 3)).astype(np.uint8)
    kinds: list[tuple[str, dict[str, int | bool]]] = [
        ("RGB", {"quality": 90, "subsampling": 0}),
        ("RGB", {"quality": 90, "subsampling": 2}),
        ("RGB", {"quality": 40, "subsampling": 2, "progressive": True}),
        ("L", {"quality": 75}),
    ]
    return [_saved(Image.fromarray(noise).convert(mode), how) for mode, how in kinds]


def _saved(image: Image.Image, how: dict[str, int | bool]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **how)
    return stream.getvalue()


def _simplejpeg() -> JpegDecoder:
    import simplejpeg

    def decode(data: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        # Before it allocates anything: two headers in one file could differ.
        if simplejpeg.decode_jpeg_header(data)[:2] != size:
            raise ValueError("two sizes in one file")
        pixels: UInt8[np.ndarray, "h w 3"] = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
        return pixels

    return JpegDecoder(name="simplejpeg", decode=decode)


def _torchvision() -> JpegDecoder:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(data: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        pixels: UInt8[np.ndarray, "h w 3"] = decode_jpeg(encoded, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
        if pixels.shape[:2] != size:
            raise ValueError("two sizes in one file")
        return pixels

    return JpegDecoder(name="torchvision", decode=decode)
