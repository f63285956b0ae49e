"""A mask codec against the original's numbers: codes, drawings, whole suffixes, scores. Imports without torch."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from finetune.evaluate.metrics.referring import ExpressionScore, score_text
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.tokens.location import NUM_BINS, encode_box
from finetune.tokens.segmentation import CROP_SIZE, NUM_CODES, NUM_TOKENS, MaskCodec, choose_codec, format_codes
from finetune.verification.arrays import numbers, texts
from finetune.verification.comparison import Comparison, largest_difference

_TOLERANCE = 1e-4
_MAX_DIFFERENCE = "max |difference|"
_DIFFERING = "differing values"
_FULL_MASK = "full_mask_"


def is_codec(checkpoint_names: Collection[str]) -> bool:
    """Whether arrays of these names are a mask codec's."""
    return "_vq_vae._embedding" in checkpoint_names


def compare_codec(checkpoint: Path, expected: Mapping[str, np.ndarray]) -> tuple[Comparison, ...]:
    """Compare everything that `expected` holds.

    Raises:
        ValueError: If the two files are no such pair.
    """
    codec = MaskCodec.load(choose_codec(str(checkpoint)))
    found: list[Comparison] = []
    if "masks64" in expected:
        found.append(_codes(codec, expected))
    if "codes" in expected:
        found.append(_drawings(codec, expected))
    if "suffixes" in expected:
        found.append(_suffixes(codec, expected))
    if "eval_case" in expected:
        found += _scores(codec, expected)
    if not found:
        raise ValueError("EXPECTED holds none of masks64, codes, suffixes and eval_case, which a mask codec has")
    return tuple(found)


def _codes(codec: MaskCodec, expected: Mapping[str, np.ndarray]) -> Comparison:
    masks = numbers(expected, "masks64", "masks", CROP_SIZE, CROP_SIZE)
    theirs = numbers(expected, "codes_of_masks64", len(masks), NUM_TOKENS)
    ours = codec.encode_soft(masks.astype(np.float32))
    return _equal("codes of 64 x 64 masks", ours, theirs, f"{len(masks)} masks, {theirs.size} codes")


def _drawings(codec: MaskCodec, expected: Mapping[str, np.ndarray]) -> Comparison:
    codes = numbers(expected, "codes", "masks", NUM_TOKENS)
    theirs = numbers(expected, "decoded", len(codes), CROP_SIZE, CROP_SIZE)
    if codes.size and not 0 <= codes.min() <= codes.max() < NUM_CODES:
        raise ValueError(f"EXPECTED: codes must lie in 0 to {NUM_CODES - 1}, got {codes.min()} to {codes.max()}")
    largest = float(np.abs(theirs).max(initial=0.0))
    return Comparison(
        quantity="decoded masks",
        measure=_MAX_DIFFERENCE,
        found=largest_difference(codec.decode(codes), theirs),
        tolerance=_TOLERANCE,
        detail=f"{len(codes)} masks, largest value {largest:.4g}",
    )


def _suffixes(codec: MaskCodec, expected: Mapping[str, np.ndarray]) -> Comparison:
    masks, boxes = _full_masks(expected), _boxes(expected)
    theirs = texts(expected, "suffixes", len(masks))
    codes = codec.encode(masks, boxes)
    ours = [encode_box(box) + format_codes(own) for box, own in zip(boxes, codes, strict=True)]
    return _equal("suffixes of full-size masks", np.array(ours), theirs, f"{len(theirs)} suffixes of 20 tokens")


def _scores(codec: MaskCodec, expected: Mapping[str, np.ndarray]) -> list[Comparison]:
    masks, boxes = _full_masks(expected), _boxes(expected)
    cases = numbers(expected, "eval_case", "expressions").tolist()
    if not all(0 <= case < len(masks) for case in cases):
        raise ValueError(f"EXPECTED: eval_case must name full masks 0 to {len(masks) - 1}")
    said = _said(expected, len(cases))
    scores = [score_text(text, masks[case], boxes[case], codec.decode) for text, case in zip(said, cases, strict=True)]
    return [_score(name, ours, expected) for name, ours in _by_name(scores).items() if name in expected]


def _by_name(scores: Sequence[ExpressionScore]) -> dict[str, np.ndarray]:
    ious = np.array([score.mask_iou for score in scores])
    return {
        "eval_iou": ious,
        "eval_invalid": np.array([not score.is_valid for score in scores], dtype=np.int64),
        "eval_box50": np.array([score.box_iou >= 0.5 for score in scores], dtype=np.int64),
        "eval_box75": np.array([score.box_iou >= 0.75 for score in scores], dtype=np.int64),
        "eval_miou": np.array(ious.mean() if len(ious) else 0.0),
    }


_SCORE_NAMES = {
    "eval_iou": "IoU of each expression",
    "eval_invalid": "invalid expressions",
    "eval_box50": "boxes at IoU 0.5",
    "eval_box75": "boxes at IoU 0.75",
    "eval_miou": "mean IoU",
}


def _score(name: str, ours: np.ndarray, expected: Mapping[str, np.ndarray]) -> Comparison:
    theirs = numbers(expected, name, *ours.shape)
    total = f"{theirs.size} expressions, " if theirs.ndim else ""
    if name in ("eval_iou", "eval_miou"):
        return Comparison(
            quantity=_SCORE_NAMES[name],
            measure=_MAX_DIFFERENCE,
            found=largest_difference(ours, theirs),
            tolerance=_TOLERANCE,
            detail=f"{total}mean {theirs.mean():.4f}",
        )
    return _equal(_SCORE_NAMES[name], ours, theirs, f"{total}{int(theirs.sum())} of them")


def _said(expected: Mapping[str, np.ndarray], num_expressions: int) -> list[str]:
    """Say predicted ids as the tokenizer does; what is neither a location nor a mask is a word."""
    first_location, first_code = (int(numbers(expected, name)) for name in ("loc0", "seg0"))
    words = {first_location + index: f"<loc{index:04d}>" for index in range(NUM_BINS)}
    words |= {first_code + index: f"<seg{index:03d}>" for index in range(NUM_CODES)}
    predicted = numbers(expected, "eval_pred_tokens", num_expressions, "tokens")
    return ["".join(words.get(token, "word") for token in row) for row in predicted.tolist()]


def _full_masks(expected: Mapping[str, np.ndarray]) -> list[Mask]:
    names = sorted((name for name in expected if name.startswith(_FULL_MASK)), key=lambda name: (len(name), name))
    return [Mask.from_array(numbers(expected, name, "height", "width").astype(np.uint8)) for name in names]


def _boxes(expected: Mapping[str, np.ndarray]) -> list[Box]:
    """Return the box of each full mask."""
    num_masks = sum(name.startswith(_FULL_MASK) for name in expected)
    edges = numbers(expected, "boxes_yxyx", num_masks, 4).clip(0, 1).tolist()
    for index, (top, left, bottom, right) in enumerate(edges):
        if top > bottom or left > right:
            raise ValueError(
                f"EXPECTED: boxes_yxyx must be top, left, bottom, right with top <= bottom and left <= right; box "
                f"{index} is {[top, left, bottom, right]}"
            )
    return [Box(top=top, left=left, bottom=bottom, right=right) for top, left, bottom, right in edges]


def _equal(quantity: str, ours: np.ndarray, theirs: np.ndarray, detail: str) -> Comparison:
    differing = float((ours != theirs).sum()) if ours.shape == theirs.shape else float("inf")
    return Comparison(quantity=quantity, measure=_DIFFERING, found=differing, tolerance=0, detail=detail)
