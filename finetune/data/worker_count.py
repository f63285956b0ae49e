"""How many loader processes a run needs: one measurement, and a rule that people can check.

    an image takes 4.5 ms to load, and what it becomes 256 tokens; one H200 at its limit reads 80,000 image tokens, or
    312 such images, a second: 312 x 4.5 ms = 1.4 processes, rounded up; at most the cores of a rank but one, and none
    where there is less to load than a process takes to start

What comes out depends on the machine, and nothing that is computed depends on it (`load_in_order`).
"""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from finetune.data.encode import SampleEncoder
from finetune.data.mixture import Ingredient
from finetune.types import BadSampleError

# The roofline of one H200 for LoRA with a frozen image encoder: 306, 77 and 17 images a second at 224, 448 and 896
# pixels, which is 78,000, 79,000 and 69,000 image tokens. Smaller devices leave a process idle now and then.
_IMAGE_TOKENS_PER_SECOND = 80_000
_NUM_MEASURED = 8
# What a loader process takes to start, most of it to import torch.
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCount:
    """How many loader processes one rank starts, and why, in one sentence."""

    num_workers: int
    reason: str


def worker_count(
    encoder: SampleEncoder, ingredients: Sequence[Ingredient], *, num_samples: int, device: torch.device
) -> WorkerCount:
    """Return what data.num_workers says, or choose where it leaves that to the machine.

    Args:
        num_samples: How many this rank is going to load.
        device: Where the model computes.
    """
    chosen = encoder.data.num_workers
    if chosen is not None:
        return WorkerCount(num_workers=chosen, reason=f"{chosen} loader processes, as data.num_workers says")
    if device.type == "cpu":
        return WorkerCount(num_workers=0, reason="no loader process: on a CPU it would take a core from the model")
    return choose_num_workers(
        seconds_per_image=seconds_per_image(encoder, ingredients),
        num_image_tokens=encoder.num_image_tokens,
        num_samples=num_samples,
        num_cores=num_cores(),
        num_ranks=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )


def choose_num_workers(
    *, seconds_per_image: float, num_image_tokens: int, num_samples: int, num_cores: int, num_ranks: int
) -> WorkerCount:
    """Choose for one rank with a GPU.

    Args:
        seconds_per_image: In one process with one thread.
        num_image_tokens: Of one image.
        num_samples: How many the rank is going to load.
        num_cores: Of this host, or as many of them as this process may use.
        num_ranks: Ranks that share these cores.
    """
    takes = f"an image takes {1000 * seconds_per_image:.1f} ms to load"
    if num_samples * seconds_per_image < _START_SECONDS:
        return WorkerCount(num_workers=0, reason=f"no loader process: {takes}, and there are {num_samples:,}")
    needed_rate = _IMAGE_TOKENS_PER_SECOND / num_image_tokens
    available = num_cores // num_ranks - 1
    num_workers = max(1, min(math.ceil(needed_rate * seconds_per_image), available))
    return WorkerCount(
        num_workers=num_workers,
        reason=f"{num_workers} loader processes: {takes}, a GPU reads at most {needed_rate:.0f} a second, and "
        f"{num_cores} cores serve {num_ranks} ranks",
    )


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seconds_per_image(encoder: SampleEncoder, ingredients: Sequence[Ingredient]) -> float:
    """Measure what it takes to load an image in one thread, text included, on the first samples of each ingredient.

    0 where not one of them can be used: that is told when they are drawn.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = [taken for ingredient in ingredients for taken in _measure(encoder, ingredient)]
    finally:
        torch.set_num_threads(threads)
    return sum(times) / len(times) if times else 0.0


def _measure(encoder: SampleEncoder, ingredient: Ingredient) -> list[float]:
    """Return seconds for an image of each sample but the first, which also pays for files that are opened once."""
    times = []
    for index in islice(range(len(ingredient.source)), _NUM_MEASURED + 1):
        started = time.perf_counter()
        try:
            encoded = encoder.ask(ingredient.source[index], ingredient.recipe)
        except BadSampleError:
            continue
        times.append((time.perf_counter() - started) / len(encoded.image_keys))
    return times[1:]
