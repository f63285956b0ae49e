"""The name of a run's folder, made of what was chosen.

    finetune train                                     detection-scenes-tiny-lora-seed0
    finetune train debug=overfit                       detection-scenes-tiny-lora-overfit-seed0
    finetune train -m seed=0,1 training.max_steps=9    detection-scenes-tiny-lora-seed1
    finetune train -m training.max_steps=8,9 name=mine mine-training.max_steps=9

The same choices with other settings give the same name: a run that differs only there wants a name of its own.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

_CHOICES = ("recipe", "dataset", "model", "peft", "experiment", "debug")
_LONGEST = 120


def run_name(choices: Mapping[str, str | None], seed: int) -> str:
    """Name a run after its choices and its seed."""
    return "-".join([*(choice for group in _CHOICES if (choice := choices.get(group))), f"seed{seed}"])


def job_name(name: str, varied: Sequence[str], *, is_derived: bool) -> str:
    """Name one job of a sweep, so that no two of its jobs share a folder.

    Args:
        name: The run's name without the sweep.
        varied: This job's overrides of what the sweep varies.
        is_derived: Whether `name` comes from `run_name` and so already tells choices and seed apart.
    """
    told = (*_CHOICES, "seed", "name", "runs") if is_derived else ("name", "runs")
    rest = sorted(override for override in varied if override.partition("=")[0] not in told)
    return f"{name}-{as_file_name(','.join(rest))}" if rest else name


def as_file_name(text: str) -> str:
    """Write any text as part of the name of a file or folder; different texts stay different."""
    safe = re.sub(r"[^\w.=+-]+", "_", text, flags=re.ASCII)
    if safe == text and len(safe) <= _LONGEST:
        return safe
    # Two texts could meet after their characters were replaced; the digest keeps them apart.
    return f"{safe[:_LONGEST]}-{digest(text)}"


def digest(text: str) -> str:
    """Return eight characters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
