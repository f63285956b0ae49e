"""Images with boxes and masks drawn over them, as HTML that opens from disk.

Both stay vectors over the picture: sharp at any size, readable in a small thumbnail, and a page can hide one kind of
them with a line of CSS. What is predicted is solid, and its masks filled; what is true is dashed; the colour says the
label.
"""

import base64
import colorsys
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from finetune.geometry import Box
from finetune.reporting.outlines import outline_path
from finetune.types import Instance

# Hues that stay apart for the usual kinds of colour blindness come first (Okabe and Ito's, deepened for white text).
_FIRST_COLOURS = ("#0072b2", "#c05000", "#007d5c", "#a8478a", "#8a6d00", "#2a78c4", "#b3261e", "#5b5bd6")
_GOLDEN_ANGLE = 0.381966

# With more boxes than this, labels hide the picture: they show while the pointer is over it.
_CALM_BOXES = 12

STYLE = """
.drawing{position:relative;display:block;line-height:0;overflow:hidden;border-radius:6px;background:#8882}
.drawing img{display:block;width:100%;height:auto}
.drawing svg{position:absolute;inset:0;width:100%;height:100%}
.drawing rect{fill:none;stroke-width:2;paint-order:stroke}
.drawing .halo{stroke:#fff;stroke-width:3.5;opacity:.55}
.drawing rect.around{stroke-width:1;opacity:.75}
.drawing rect.halo.around{stroke-width:2;opacity:.35}
.drawing path{fill:none;fill-rule:evenodd;stroke-width:2;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.drawing path.halo{stroke-width:3.5}
.drawing path.predicted{fill:var(--label);fill-opacity:.38}
.drawing path.halo.predicted{fill:none}
.drawing .true{stroke-dasharray:5 3}
.drawing .chip{position:absolute;max-width:100%;padding:0 4px;border-radius:3px;overflow:hidden;
font:600 10px/14px system-ui,sans-serif;color:#fff;text-overflow:ellipsis;white-space:nowrap}
.drawing .chip.above{transform:translateY(-100%)}
.drawing .chip.right{transform:translateX(-100%)}
.drawing .chip.above.right{transform:translate(-100%,-100%)}
.drawing.many .chip{visibility:hidden}
.drawing.many:hover .chip{visibility:visible}
.drawing .chip.true{background:none!important;color:var(--label);text-shadow:0 0 3px #fff,0 0 2px #fff,0 0 1px #fff}
"""


def label_colours(labels: Iterable[str]) -> dict[str, str]:
    """Give every label a CSS colour: the same labels, in any order, get the same colours."""
    return {label: _colour(index) for index, label in enumerate(sorted(set(labels)))}


def drawing_html(
    image_uri: str,
    *,
    predicted: Sequence[Instance],
    truth: Sequence[Instance],
    colours: Mapping[str, str],
    description: str,
) -> str:
    """Lay boxes and masks over an image. The page must include `STYLE`.

    Args:
        image_uri: What the image's `src` says; `jpeg_uri` makes one that needs no file.
        colours: One for every label (`label_colours`).
        description: Alternative text of the image, in words.
    """
    boxes = [(instance, "true") for instance in truth] + [(instance, "predicted") for instance in predicted]
    masks = "".join(_mask(instance, kind, colours[instance.label]) for instance, kind in boxes)
    outlines = "".join(_outline(instance, kind, colours[instance.label]) for instance, kind in boxes)
    chips = "".join(_chip(instance, kind, colours[instance.label]) for instance, kind in boxes)
    image = f'<img src="{escape(image_uri)}" alt="{escape(description)}" loading="lazy">'
    density = " many" if len(boxes) > _CALM_BOXES else ""
    if masks:
        outlines = f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">{masks}</svg>{outlines}'
    return f'<span class="drawing{density}">{image}<svg aria-hidden="true">{outlines}</svg>{chips}</span>'


def shrink(pixels: UInt8[np.ndarray, "h w 3"], longest_pixels: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return the image with its longer side at most so many pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest_pixels, longest_pixels))
    return np.asarray(image)


def jpeg_bytes(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Encode an image for people to look at."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()


def decode_jpeg(encoded: bytes) -> Image.Image:
    """Read what `jpeg_bytes` made."""
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def jpeg_uri(encoded: bytes) -> str:
    """Return a `data:` address that holds an encoded JPEG itself."""
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")


def _colour(index: int) -> str:
    if index < len(_FIRST_COLOURS):
        return _FIRST_COLOURS[index]
    red, green, blue = colorsys.hls_to_rgb(index * _GOLDEN_ANGLE % 1, 0.38, 0.65)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _mask(instance: Instance, kind: str, colour: str) -> str:
    """Draw the instance's mask; nothing where it has none, or no pixel is in it."""
    path = "" if instance.mask is None else outline_path(instance.mask)
    if not path:
        return ""
    return (
        f'<path class="halo {kind}" d="{path}"/>'
        f'<path class="{kind}" style="--label:{colour}" stroke="{colour}" d="{path}"/>'
    )


def _outline(instance: Instance, kind: str, colour: str) -> str:
    box = instance.box
    # Around a mask the box says little more, and steps back.
    kind = kind if instance.mask is None else f"{kind} around"
    place = (
        f'x="{_percent(box.left)}" y="{_percent(box.top)}" '
        f'width="{_percent(box.right - box.left)}" height="{_percent(box.bottom - box.top)}"'
    )
    # The pale line below keeps the colour visible on a ground of the same colour.
    return f'<rect class="halo {kind}" {place}/><rect class="{kind}" {place} stroke="{colour}"/>'


def _chip(instance: Instance, kind: str, colour: str) -> str:
    label = f"{instance.label} (crowd)" if instance.is_crowd else instance.label
    classes, place = _chip_place(instance.box, kind)
    style = f"{place};background:{colour};--label:{colour}"
    return f'<span class="chip {kind}{classes}" style="{style}">{escape(label)}</span>'


def _chip_place(box: Box, kind: str) -> tuple[str, str]:
    """Return classes and position: predicted labels at the box's top left, true ones at its bottom right.

    Near the image's edge a label moves inside the box, where it is not cut off.
    """
    if kind == "predicted":
        return " above" if box.top > 0.07 else "", f"left:{_percent(min(box.left, 0.8))};top:{_percent(box.top)}"
    classes = " right" if box.right > 0.2 else ""
    return classes + (" above" if box.bottom > 0.9 else ""), f"left:{_percent(box.right)};top:{_percent(box.bottom)}"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.2f}%"
