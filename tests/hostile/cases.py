"""What a case of bad input is: bytes on disk, where they are met, and what must become of them.

In rows, `@/` stands for the case's own folder and `@id` for its own id, so that all cases fit into one data set.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from PIL import Image

from finetune.types import Example, Metric, Prediction, Sample
from recipes.detection import Detection
from recipes.verbatim import Verbatim

Files = Callable[[Path], None]


class Verdict(Enum):
    """What becomes of a row, or of a whole file."""

    opening = "refused when the data set is opened, before a weight is read"
    row = "refused when it is read: listed by inspect, stops training, or is counted as a skip where that was asked for"
    fixed = "used, and what was done to it is counted"
    fine = "used as it is"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row among good ones.

    Args:
        reference: The verdict of the list that these cases come from: E (refuse), S (skip), F (fix), O (fine); "" where
            it gives none.
        words: The reason's code for a refusal, what is counted for a repair.
        field_name: The field that a refusal names.
        files: Writes what the row names into the case's folder.
        settings: Of the data set; such a case is not mixed with others.
        alone: Why it is not mixed with others either.
        differs: Why the verdict is not the reference's.
    """

    name: str
    row: Mapping[str, object] | bytes
    verdict: Verdict
    reference: str
    words: str = ""
    field_name: str = "image"
    files: Files = lambda folder: None
    settings: Mapping[str, object] = field(default_factory=dict)
    alone: str = ""
    differs: str = ""

    def line(self, prefix: str, sample_id: str) -> bytes:
        """Return the row as it stands in the file."""
        text = self.row if isinstance(self.row, bytes) else json.dumps(self.row).encode()
        return text.replace(b"@/", prefix.encode()).replace(b"@id", sample_id.encode())


@dataclass(frozen=True, kw_only=True)
class WholeFile:
    """A file of rows, made of good ones.

    Args:
        content: From the good lines, without their newlines, to the file.
        words: What the refusal says, or what is counted.
        num_rows: Rows that are read, as a difference to the good ones.
        files: Writes what else belongs to the data set into its folder.
    """

    name: str
    content: Callable[[list[bytes]], bytes]
    verdict: Verdict
    reference: str
    words: str = ""
    num_rows: int = 0
    files: Files = lambda folder: None
    differs: str = ""


@dataclass(frozen=True, kw_only=True)
class EitherRecipe:
    """Says ready-made text as it is, and boxes as a detection, so that one run can read every case."""

    text: Verbatim = field(default_factory=Verbatim)
    boxes: Detection = field(default_factory=Detection)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        return self._of(sample).encode(sample, rng)

    def ask(self, sample: Sample) -> Example:
        return self._of(sample).ask(sample)

    def decode(self, text: str, sample: Sample) -> Prediction:
        return self._of(sample).decode(text, sample)

    def selection(self) -> None:
        return None

    def reference(self, sample: Sample) -> str:
        return self._of(sample).reference(sample)

    def metrics(self) -> Mapping[str, Metric]:
        return {}

    def _of(self, sample: Sample) -> Verbatim | Detection:
        return self.text if sample.suffix is not None else self.boxes


def good_row(number: int) -> dict[str, object]:
    """Return a row that nothing is wrong with."""
    suffix = f"<loc0100><loc0200><loc0300><loc{400 + number % 600:04d}> cell"
    return {"id": f"good-{number}", "image": "good.png", "prefix": "detect cell", "suffix": suffix}


def named_row(**changes: object) -> dict[str, object]:
    """Return a good row under the case's own id, with some fields changed; None leaves one out."""
    row = {**good_row(0), "id": "@id", **changes}
    return {name: value for name, value in row.items() if value is not None}


def boxes_row(boxes: object, **changes: object) -> dict[str, object]:
    """Return a row with boxes in place of text, on the good image of 48 x 32 pixels."""
    return named_row(prefix=None, suffix=None, **{"box_format": "xyxy_pixels", "boxes": boxes, **changes})


def one_box(*numbers: object, **changes: object) -> dict[str, object]:
    """Return a row with one box."""
    return boxes_row([{"label": "cell", "box": list(numbers)}], **changes)


def one_mask(mask: object) -> dict[str, object]:
    """Return a row with one mask."""
    return boxes_row([{"label": "cell", "mask": mask}])


def picture(height: int = 32, width: int = 48) -> Image.Image:
    """Return a picture without flat parts."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows * columns) % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, form: str, **how: object) -> bytes:
    """Return an image's file."""
    stream = io.BytesIO()
    image.save(stream, form, **how)
    return stream.getvalue()


def flipped(data: bytes, place: int) -> bytes:
    """Return bytes of which one is another."""
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


def claimed_png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG whose header claims a size, over the given compressed pixels."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def bomb(side: int) -> bytes:
    """Return a black PNG of side x side pixels that takes kilobytes on disk, made without compressing it whole."""
    total = side * (side + 1)
    block_bytes = 1 << 20
    squeeze = zlib.compressobj(9, wbits=-15)
    block = squeeze.compress(bytes(block_bytes)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15)
    end = last.compress(bytes(total % block_bytes)) + last.flush()
    # Of zeros, Adler's first sum is 1 and its second their number.
    checksum = struct.pack(">HH", total % 65521, 1)
    return claimed_png(side, side, b"\x78\xda" + block * (total // block_bytes) + end + checksum)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
