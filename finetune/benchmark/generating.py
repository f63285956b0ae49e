"""Generation by itself: one image after the other against many at once, with the same prefixes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune.benchmark.choices import Effort, Workload
from finetune.benchmark.dimensions import Dimensions, dimensions_of
from finetune.benchmark.model import build_model
from finetune.benchmark.samples import Window, draw_windows
from finetune.benchmark.statistics import median, ratio_of
from finetune.benchmark.timing import Turn, clock_of, take_call
from finetune.data.packing import Batch, pack
from finetune.evaluate.generate import generate
from finetune.settings import Precision
from finetune.types import TokenizedExample


def measure_generation(
    workload: Workload, effort: Effort, device: torch.device, say: Callable[[str], None]
) -> dict[str, Any]:
    """Continue `workload.batch` prefixes by `workload.suffix_tokens` ids, singly and together, in turn."""
    say(f"generating: {workload.title}")
    dimensions = dimensions_of(workload.size, workload.generation)
    model = build_model(workload, dimensions, device)
    window = draw_windows(workload, dimensions)[0]
    together = [_prefixes(window, dimensions, range(workload.batch))]
    singly = [_prefixes(window, dimensions, [index]) for index in range(workload.batch)]
    said: dict[str, list[list[int]]] = {}
    turns: dict[str, list[Turn]] = {"together": [], "singly": []}
    # The first round warms up.
    for number in range(effort.rounds + 1):
        for name, batches in (("together", together), ("singly", singly)):
            turn, ids = take_call(partial(_continue, model, batches, workload, dimensions), device)
            said[name] = ids
            turns[name] += [turn] if number else []
    clock = clock_of(device)
    seconds = {name: [turn.seconds(clock) for turn in found] for name, found in turns.items()}
    return {
        "kind": "generation",
        "title": f"generation: {workload.title}, greedy",
        "workload": asdict(workload),
        "new_tokens": workload.suffix_tokens,
        "clock": clock,
        "images_per_second": {name: workload.batch / median(found) for name, found in seconds.items()},
        "ratio": asdict(ratio_of(seconds["singly"], seconds["together"])),
        # In bf16 near ties may fall the other way in a batch; in fp32 all must be equal.
        "equal_rows": sum(one == other for one, other in zip(said["singly"], said["together"], strict=True)),
        "rows": workload.batch,
    }


def _continue(
    model: nn.Module, batches: Sequence[Batch], workload: Workload, dimensions: Dimensions
) -> list[list[int]]:
    device = next(model.parameters()).device
    is_mixed = workload.precision is not Precision.fp32
    said: list[list[int]] = []
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_mixed):
        for batch in batches:
            said += generate(
                model,
                batch.to(device),
                max_new_tokens=workload.suffix_tokens,
                num_beams=1,
                # The table's last row is never said: every prefix is continued for the whole length.
                eos_id=dimensions.rows - 1,
                vocabulary_size=dimensions.image_token_id,
            )
    return said


def _prefixes(window: Window, dimensions: Dimensions, indices: Sequence[int]) -> Batch:
    examples = [_prefix_of(window.examples[index]) for index in indices]
    return pack(examples, window.pixels[list(indices)], image_token_id=dimensions.image_token_id)


def _prefix_of(example: TokenizedExample) -> TokenizedExample:
    shown = ~example.is_suffix
    ids = example.input_ids[shown]
    return replace(example, input_ids=ids, is_suffix=np.zeros(len(ids), dtype=np.bool_))
