"""Images as people see them, for pages and drawings: those of samples that the model was shown before."""

import numpy as np
import torch
from jaxtyping import UInt8

from finetune.data.images import decode_image
from finetune.data.outline import paint_outline
from finetune.types import ImageReference, OutlinedImage

# Every image was decoded for the model before, so its size was checked.
_ANY_SIZE = 2**62
_WHITE = 255


def picture_of(reference: ImageReference) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image at its own size: turned by its EXIF orientation, white under transparent pixels, outlined.

    Raises:
        BadSampleError: If it cannot be decoded; that it is too large is not asked again.
    """
    pixels = decode_image(reference, max_pixels=_ANY_SIZE, background=_WHITE).pixels
    if not isinstance(reference, OutlinedImage):
        return pixels
    painted = paint_outline(torch.from_numpy(pixels).permute(2, 0, 1), reference.box, reference.color)
    return painted.permute(1, 2, 0).numpy()
