"""Words with their polygons, as data sets of text in photographs write them."""

from collections.abc import Sequence

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.rows import RowPlace, read_text
from finetune.types import Instance

# What stands for a word that nobody could read.
UNREADABLE = "###"


def read_word(
    text: object,
    points: Sequence[tuple[float, float]],
    image_size: tuple[int, int],
    field_name: str,
    place: RowPlace,
) -> Instance | None:
    """Return a word with the box around its polygon; None where nothing of it lies in the image, which is counted.

    Polygons leave their image by some pixels in all of these data sets, and are clipped to it.

    Args:
        text: What the file has for it; None where nobody could read it.
        points: (x, y) in pixels.

    Raises:
        BadSampleError: If the text is none, or empty, or a coordinate is no number.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    corners = [min(xs), min(ys), max(xs), max(ys)]
    box = read_box(corners, BoxFormat.xyxy_pixels, image_size, field_name, place, bad_boxes=BadBoxes.repair)
    if box is None:
        return None
    label = UNREADABLE if text is None else read_text(text, field_name, place).strip()
    return Instance(label=label, box=box, is_crowd=text is None)
