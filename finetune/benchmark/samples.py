"""The same examples for every variant: drawn once from a fixed seed, and collated before anything is timed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import pad

from finetune.benchmark.choices import Workload
from finetune.benchmark.dimensions import Dimensions
from finetune.benchmark.flops import Lengths
from finetune.benchmark.statistics import median
from finetune.data.packing import Batch, pack
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import TokenizedExample

SEED = 0
IGNORE_INDEX = -100
# Two windows at least, so that no step sees what the one before has just seen.
_NUM_SAMPLES = 64
_FEWEST_WINDOWS = 2
# Below are the control tokens and the newline.
_FIRST_WORD = 5
_NEWLINE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The examples of one step, with one image each."""

    examples: tuple[TokenizedExample, ...]
    pixels: UInt8[Tensor, "examples 3 height width"]

    @property
    def lengths(self) -> tuple[Lengths, ...]:
        """The examples' lengths."""
        return tuple(
            Lengths(
                image=one.num_image_tokens,
                prefix=len(one.input_ids) - one.num_image_tokens - one.num_targets,
                suffix=one.num_targets,
            )
            for one in self.examples
        )


def draw_windows(workload: Workload, dimensions: Dimensions) -> tuple[Window, ...]:
    """Draw the windows that every variant goes through, again and again, in this order."""
    rng = np.random.default_rng(SEED)
    num_windows = max(_FEWEST_WINDOWS, _NUM_SAMPLES // workload.batch)
    return tuple(_draw_window(workload, dimensions, rng, f"window-{index}") for index in range(num_windows))


def our_batch(window: Window, dimensions: Dimensions, row_tokens: int | None) -> Batch:
    """Return what our training step reads."""
    return pack(window.examples, window.pixels, image_token_id=dimensions.image_token_id, row_tokens=row_tokens)


def transformers_inputs(window: Window) -> dict[str, Tensor]:
    """Return what transformers' PaliGemma reads, as its processor makes it: padded on the right, labels on the suffix.

    `token_type_ids` are given: without them transformers trains with the wrong mask and says nothing.
    """
    width = max(len(one.input_ids) for one in window.examples)

    def rows(values: Iterator[Any], filler: int) -> Tensor:
        tensors = [torch.as_tensor(value).long() for value in values]
        return torch.stack([pad(one, (0, width - len(one)), value=filler) for one in tensors])

    examples = window.examples
    return {
        "input_ids": rows((one.input_ids for one in examples), Tokenizer.pad_id),
        "attention_mask": rows((np.ones(len(one.input_ids)) for one in examples), 0),
        "token_type_ids": rows((one.is_suffix for one in examples), 0),
        "labels": rows((np.where(one.is_suffix, one.input_ids, IGNORE_INDEX) for one in examples), IGNORE_INDEX),
        "pixel_values": window.pixels.float() / 127.5 - 1,
    }


def in_turn(batches: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the first, the second, ..., and begin again."""
    return cycle(batches)


def facts_of(windows: tuple[Window, ...], workload: Workload) -> Mapping[str, Any]:
    """Say what was drawn, for the record."""
    lengths = [one for window in windows for one in window.lengths]
    steps = [[one.total for one in window.lengths] for window in windows]
    return {
        "seed": SEED,
        "num_samples": len(lengths),
        "num_windows": len(windows),
        "distribution": f"each length even in mean * (1 -+ {workload.length_spread:g})",
        "prefix_tokens": _spread([one.prefix for one in lengths]),
        "suffix_tokens": _spread([one.suffix for one in lengths]),
        "image_tokens": lengths[0].image,
        "tokens_per_step": sum(one.total for one in lengths) / len(windows),
        "padded_tokens_per_step": sum(max(step) * len(step) for step in steps) / len(windows),
        "targets_per_step": sum(one.suffix for one in lengths) / len(windows),
    }


def _spread(values: list[int]) -> dict[str, float]:
    return {"smallest": min(values), "median": median(values), "largest": max(values)}


def _draw_window(workload: Workload, dimensions: Dimensions, rng: np.random.Generator, name: str) -> Window:
    shape = (workload.batch, 3, workload.image_size, workload.image_size)
    examples = tuple(_draw_example(workload, dimensions, rng, f"{name}-{index}") for index in range(workload.batch))
    return Window(examples=examples, pixels=torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)))


def _draw_example(
    workload: Workload, dimensions: Dimensions, rng: np.random.Generator, sample_id: str
) -> TokenizedExample:
    num_image_tokens = dimensions.num_image_tokens(workload.image_size)
    num_prefix, num_suffix = (
        _draw_length(mean, workload.length_spread, rng) for mean in (workload.prefix_tokens, workload.suffix_tokens)
    )
    words = rng.integers(_FIRST_WORD, dimensions.image_token_id, num_prefix + num_suffix - 3)
    seen = [dimensions.image_token_id] * num_image_tokens + [Tokenizer.bos_id, *words[: num_prefix - 2], _NEWLINE]
    ids = np.array([*seen, *words[num_prefix - 2 :], Tokenizer.eos_id], dtype=np.int64)
    return TokenizedExample(
        sample_id=sample_id,
        input_ids=ids,
        is_suffix=np.arange(len(ids)) >= len(seen),
        num_image_tokens=num_image_tokens,
    )


def _draw_length(mean: int, spread: float, rng: np.random.Generator) -> int:
    return int(rng.integers(round(mean * (1 - spread)), round(mean * (1 + spread)), endpoint=True))
