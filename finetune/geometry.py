"""Boxes with named edges, so that no caller has to remember a coordinate order."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Axis-aligned box. Edges are fractions of image height or width, origin top-left.

    Raises:
        ValueError: If the edges are not finite, ordered and inside [0, 1].
    """

    top: float
    left: float
    bottom: float
    right: float

    def __post_init__(self) -> None:
        # Written so that a NaN edge, which compares false, is refused as well.
        if not (0 <= self.top <= self.bottom <= 1 and 0 <= self.left <= self.right <= 1):
            raise ValueError(f"box edges must be ordered and inside [0, 1], got {self}")

    @property
    def area(self) -> float:
        """Share of the image that the box covers, in [0, 1]."""
        return (self.bottom - self.top) * (self.right - self.left)

    @classmethod
    def from_xyxy_pixels(
        cls, left: float, top: float, right: float, bottom: float, *, image_size: tuple[int, int]
    ) -> "Box":
        """Convert pixel corners, clipping them to the image. `image_size` is (height, width).

        Raises:
            ValueError: If the corners are swapped, not finite, or all of the box lies outside the image.
        """
        height, width = image_size
        if not (left <= right and top <= bottom):
            raise ValueError(f"box corners are swapped or not a number: {left}, {top}, {right}, {bottom}")
        if right < 0 or bottom < 0 or left > width or top > height:
            raise ValueError(f"box {left}, {top}, {right}, {bottom} lies outside the {width} x {height} image")
        return cls(
            top=_clip(top / height), left=_clip(left / width), bottom=_clip(bottom / height), right=_clip(right / width)
        )

    @classmethod
    def from_xywh_pixels(cls, x: float, y: float, width: float, height: float, *, image_size: tuple[int, int]) -> "Box":
        """Convert a COCO box, clipping it to the image. `image_size` is (height, width).

        Raises:
            ValueError: If the size is negative, a number is not finite, or the box lies outside the image.
        """
        return cls.from_xyxy_pixels(x, y, x + width, y + height, image_size=image_size)

    def to_xyxy_pixels(self, image_size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) in pixels. `image_size` is (height, width)."""
        height, width = image_size
        return self.left * width, self.top * height, self.right * width, self.bottom * height


def intersection_over_union(first: Box, second: Box) -> float:
    """Return the Jaccard index of two boxes, 0 where neither has an area."""
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    width = min(first.right, second.right) - max(first.left, second.left)
    shared = max(0.0, height) * max(0.0, width)
    union = first.area + second.area - shared
    return shared / union if union > 0 else 0.0


def _clip(edge: float) -> float:
    return min(1.0, max(0.0, edge))
