"""How fast training goes and how much memory it takes."""

import resource
import sys

import torch

from finetune.engine.step import StepReport

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Throughput:
    """Examples and tokens per second of training alone, over all ranks, between two reports."""

    def __init__(self) -> None:
        self._num_examples = 0
        self._num_tokens = 0
        self._seconds = 0.0

    def add(self, report: StepReport, seconds: float) -> None:
        """Count one step, waiting for its data included."""
        self._num_examples += report.num_examples
        self._num_tokens += report.num_tokens
        self._seconds += seconds

    def take(self) -> dict[str, float]:
        """Return the rates since the last call, by the names that progress shows. One step or more lies between."""
        rates = {
            "examples_per_second": self._num_examples / self._seconds,
            "tokens_per_second": self._num_tokens / self._seconds,
        }
        self._num_examples, self._num_tokens, self._seconds = 0, 0, 0.0
        return rates


def peak_memory_gib(device: torch.device) -> float:
    """Return the most memory that this process ever took: the GPU's, or the machine's where there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 2**30
