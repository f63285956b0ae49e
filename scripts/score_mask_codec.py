"""Say how well a mask codec draws what it was shown, and how fast: the embedded one, or any other.

    python scripts/score_mask_codec.py                     the embedded codec
    python scripts/score_mask_codec.py path/to/vae-oid.npz

IoU of crops is the network alone, at 64 x 64. IoU of scenes is what sixteen tokens and a box of four tokens allow on
whole images: it is lower for small images, because pasting truncates the box to whole pixels, as the original does.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from jaxtyping import UInt8
from mask_pool import SHAPES, Pixels, polygon_masks, scene_masks, soft_mask

from datasets_adapters.scenes import Scenes
from finetune.evaluate.metrics.referring import score_text
from finetune.tokens.location import encode_box
from finetune.tokens.segmentation import NUM_CODES, CodecChoice, MaskCodec, choose_codec, format_codes
from finetune.types import Instance

_NUM_CROPS = 1000
_NUM_SCENES = 200
# Far from every seed that training would be given.
_HELD_OUT_SEED = 2**31
_BATCH_SIZES = (1, 16, 64)
_TIMED_SECONDS = 2.0


def main() -> None:
    """Print scores and speed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "codec", nargs="?", help="embedded, original or a path; default: $FINETUNE_MASK_CODEC, embedded"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    choice = choose_codec(options.codec)
    report = {
        "codec": choice.name,
        "sha256": choice.sha256,
        "scores": scores(choice),
        "masks_per_second": speed(choice),
    }
    print(json.dumps(report, indent=2))


def scores(choice: CodecChoice) -> dict[str, float]:
    """Score masks that training did not draw."""
    codec = MaskCodec.load(choice)
    found: dict[str, float] = {}
    for name, masks in (
        ("scenes", scene_masks(_HELD_OUT_SEED, held_out=True)),
        ("polygons", polygon_masks(_HELD_OUT_SEED)),
    ):
        overlaps, perplexity = _score_crops(codec, draw(masks, _NUM_CROPS))
        found[f"{name}/crop_iou"] = round(float(overlaps.mean()), 4)
        found[f"{name}/crop_iou_10th_percentile"] = round(float(np.quantile(overlaps, 0.1)), 4)
        found[f"{name}/perplexity_of_128"] = round(perplexity, 1)
    for side in (112, 224, 448):
        found[f"scenes/iou_{side}px"] = round(_score_scenes(codec, side), 4)
    return found


def speed(choice: CodecChoice) -> dict[str, int]:
    """Measure masks per second of the two networks, crops and pastes left out."""
    codec = MaskCodec.load(choice)
    rng = np.random.default_rng(0)
    found = {}
    for size in _BATCH_SIZES:
        crops, codes = rng.random((size, 64, 64), dtype=np.float32), rng.integers(0, NUM_CODES, (size, 16))
        found[f"encode, {size} at once"] = _per_second(lambda crops=crops: codec.encode_soft(crops), size)
        found[f"decode, {size} at once"] = _per_second(lambda codes=codes: codec.decode(codes), size)
    return found


def draw(masks: Iterator[Pixels], number: int) -> UInt8[np.ndarray, "n 64 64"]:
    """Take so many masks, resized as encoding does."""
    drawn: UInt8[np.ndarray, "n 64 64"] = np.stack([soft_mask(crop) for crop in islice(masks, number)])
    return drawn


def _score_crops(codec: MaskCodec, masks: UInt8[np.ndarray, "n 64 64"]) -> tuple[np.ndarray, float]:
    codes = codec.encode_soft(masks / np.float32(255))
    inside, truth = codec.decode(codes) > 0, masks > 127
    overlaps = (inside & truth).sum(axis=(1, 2)) / np.maximum(1, (inside | truth).sum(axis=(1, 2)))
    shares = np.bincount(codes.ravel(), minlength=NUM_CODES) / codes.size
    return overlaps, float(np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum()))


def _score_scenes(codec: MaskCodec, side: int) -> float:
    scenes = Scenes(image_size=side, shapes=list(SHAPES), max_objects=4, max_words=2, num_eval=_NUM_SCENES).open("eval")
    ious = []
    for index in range(len(scenes)):
        for instance in scenes[index].instances or ():
            ious.append(_iou_through_text(codec, instance))
    return float(np.mean(ious))


def _iou_through_text(codec: MaskCodec, instance: Instance) -> float:
    assert instance.mask is not None, "scenes have masks"
    (codes,) = codec.encode([instance.mask], [instance.box])
    return score_text(
        encode_box(instance.box) + format_codes(codes), instance.mask, instance.box, codec.decode
    ).mask_iou


def _per_second(run: Callable[[], object], num_masks: int) -> int:
    run()
    runs, started = 0, time.perf_counter()
    while time.perf_counter() - started < _TIMED_SECONDS:
        run()
        runs += 1
    return round(runs * num_masks / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
