"""Binary masks of whole images, kept as COCO run lengths until somebody needs pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from pycocotools import mask as coco_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """One binary mask, the size of its image, compressed.

    `counts` is COCO's compressed run-length string (column-major, background first).
    """

    height: int
    width: int
    counts: bytes

    @property
    def area_pixels(self) -> int:
        """Number of foreground pixels."""
        return int(coco_mask.area(self._as_coco()))

    def to_array(self) -> UInt8[np.ndarray, "h w"]:
        """Return the pixels, 1 inside and 0 outside."""
        pixels: UInt8[np.ndarray, "h w"] = coco_mask.decode(self._as_coco())
        return pixels

    @classmethod
    def from_array(cls, pixels: UInt8[np.ndarray, "h w"]) -> "Mask":
        """Compress pixels; every nonzero one is foreground."""
        encoded = coco_mask.encode(np.asfortranarray(pixels != 0, dtype=np.uint8))
        return cls(height=pixels.shape[0], width=pixels.shape[1], counts=encoded["counts"])

    @classmethod
    def from_polygons(cls, polygons: Sequence[Sequence[float]], *, image_size: tuple[int, int]) -> "Mask":
        """Draw COCO polygons (x1, y1, x2, y2, … in pixels). `image_size` is (height, width).

        Raises:
            ValueError: If there is no polygon, one has fewer than three corners, or a number is not finite.
        """
        height, width = image_size
        if not polygons:
            raise ValueError("a mask needs at least one polygon")
        for corners in polygons:
            if len(corners) < 6 or len(corners) % 2:
                raise ValueError(f"a polygon needs three or more x, y pairs, got {len(corners)} numbers")
            if not np.isfinite(np.asarray(corners, dtype=np.float64)).all():
                raise ValueError(f"a polygon's numbers must be finite, got {list(corners)}")
        encoded = coco_mask.merge(coco_mask.frPyObjects([list(corners) for corners in polygons], height, width))
        return cls(height=height, width=width, counts=encoded["counts"])

    @classmethod
    def from_run_lengths(cls, counts: Sequence[int], *, image_size: tuple[int, int]) -> "Mask":
        """Read COCO's uncompressed run lengths. `image_size` is (height, width).

        Raises:
            ValueError: If a run is negative or the runs do not add up to the image.
        """
        height, width = image_size
        if any(run < 0 for run in counts) or sum(counts) != height * width:
            raise ValueError(f"run lengths must be non-negative and add up to {height} x {width} = {height * width}")
        encoded = coco_mask.frPyObjects({"size": [height, width], "counts": list(counts)}, height, width)
        return cls(height=height, width=width, counts=encoded["counts"])

    def _as_coco(self) -> dict[str, object]:
        return {"size": [self.height, self.width], "counts": self.counts}


def mask_overlaps(first: Sequence[Mask], second: Sequence[Mask]) -> Float64[np.ndarray, "first second"]:
    """Return the IoU of every mask with every other of the same image, 0 where neither has a pixel."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    one, two = [mask._as_coco() for mask in first], [mask._as_coco() for mask in second]
    return np.nan_to_num(np.asarray(coco_mask.iou(one, two, [0] * len(two)), dtype=np.float64), nan=0.0)
