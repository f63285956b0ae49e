"""How well one expression's mask was drawn, by the rules of the original's RefCOCO evaluator."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from finetune.geometry import Box, intersection_over_union
from finetune.masks import Mask
from finetune.tokens.mask_window import has_pixels, paste, paste_window
from finetune.tokens.segmentation import parse_box_and_codes

Decode = Callable[[Int[np.ndarray, "n 16"]], Float32[np.ndarray, "n 64 64"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionScore:
    """One expression's outcome. An invalid one shares no pixel; its box may still count, if that alone was readable."""

    is_valid: bool
    box_iou: float
    shared_pixels: int
    union_pixels: int

    @property
    def mask_iou(self) -> float:
        """Shared pixels over joined ones; 0 where there are none."""
        return self.shared_pixels / self.union_pixels if self.union_pixels else 0.0


def score_text(text: str, truth_mask: Mask, truth_box: Box, decode: Decode) -> ExpressionScore:
    """Score what a model said. Only the first four and the next sixteen tokens are read.

    Args:
        truth_mask: At the image's full resolution.
        decode: `MaskCodec.decode`.
    """
    said = parse_box_and_codes(text)
    if said is None:
        return score_mask(None, None, truth_mask, truth_box)
    box, codes = said
    mask = paste(decode(np.array([codes]))[0], box, (truth_mask.height, truth_mask.width))
    return score_mask(mask, box, truth_mask, truth_box)


def score_mask(said_mask: Mask | None, said_box: Box | None, truth_mask: Mask, truth_box: Box) -> ExpressionScore:
    """Score a mask that was pasted into its box; None where the text had none.

    A box that no pixel is left of after truncation makes the expression invalid, yet still counts as a box.

    Source:
        big_vision evaluators/proj/paligemma/transfers/segmentation.py (0127fb6), `Evaluator.run`.
    """
    box_iou = 0.0 if said_box is None else intersection_over_union(said_box, truth_box)
    size = (truth_mask.height, truth_mask.width)
    if said_mask is None or said_box is None or not has_pixels(paste_window(said_box, size)):
        return ExpressionScore(is_valid=False, box_iou=box_iou, shared_pixels=0, union_pixels=truth_mask.area_pixels)
    said, truth = said_mask.to_array(), truth_mask.to_array()
    return ExpressionScore(
        is_valid=True,
        box_iou=box_iou,
        shared_pixels=int((said & truth).sum()),
        union_pixels=int((said | truth).sum()),
    )
