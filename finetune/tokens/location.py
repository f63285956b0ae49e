"""Boxes as location tokens: `<locYMIN><locXMIN><locYMAX><locXMAX>`, four of 1024 bins over the image."""

import re

from finetune.geometry import Box

NUM_BINS = 1024

BOX_PATTERN = "<loc([0-9]{4})>" * 4
_BOX = re.compile(BOX_PATTERN)


def encode_bin(edge: float) -> int:
    """Return the bin of an edge given as a fraction of the image, clipped to the image.

    Halves round to the even bin, as the original's do.

    Source:
        big_vision pp/proj/paligemma/segmentation.py (0127fb6): tf.round(edge * 1023), clipped to 0..1023.
    """
    return min(max(round(edge * (NUM_BINS - 1)), 0), NUM_BINS - 1)


def decode_bin(index: int) -> float:
    """Return the edge, as a fraction of the image, that a bin stands for.

    Dividing by 1024 instead, as some decoders do, would break encode(decode(bin)) for half of all bins.
    """
    return index / (NUM_BINS - 1)


def encode_box(box: Box) -> str:
    """Say a box as four location tokens."""
    return "".join(f"<loc{encode_bin(edge):04d}>" for edge in (box.top, box.left, box.bottom, box.right))


def has_extent(box: Box) -> bool:
    """Whether the box is still one after encoding: a thinner one falls into a single bin and becomes a line."""
    return encode_bin(box.top) < encode_bin(box.bottom) and encode_bin(box.left) < encode_bin(box.right)


def box_of_match(match: re.Match[str]) -> Box | None:
    """Return the box of four matched location tokens; None where one is out of range or the box has no extent."""
    bins = [int(group) for group in match.groups()[:4]]
    if max(bins) >= NUM_BINS or bins[0] >= bins[2] or bins[1] >= bins[3]:
        return None
    top, left, bottom, right = (decode_bin(index) for index in bins)
    return Box(top=top, left=left, bottom=bottom, right=right)


def decode_boxes(text: str) -> list[Box]:
    """Read every well-formed box out of generated text, in order of appearance.

    Generated text is untrusted: a partial, out-of-range or inverted box is skipped, never an error, so that one bad
    sample cannot stop an evaluation.
    """
    boxes = (box_of_match(match) for match in _BOX.finditer(text))
    return [box for box in boxes if box is not None]
