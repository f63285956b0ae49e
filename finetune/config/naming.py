"""The name of a run's folder, made of what was chosen.

    finetune train                                   detection-scenes-tiny-lora-seed0
    finetune train debug=overfit                     detection-scenes-tiny-lora-overfit-seed0
    finetune train -m seed=0,1 training.max_steps=9  detection-scenes-tiny-lora-seed1-training.max_steps=9

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


def job_name(name: str, overrides: Sequence[str], *, is_derived: bool) -> str:
    """Name one job of a sweep, so that no two jobs ever share a folder.

    Args:
        name: The run's name without the sweep.
        overrides: All overrides of this job; which of them the sweep varies is not known here.
        is_derived: Whether `name` comes from `run_name` and so already tells choices and seed apart.
    """
    told = (*_CHOICES, "seed", "name", "runs") if is_derived else ("name", "runs")
    rest = sorted(override for override in overrides if override.partition("=")[0] not in told)
    suffix = re.sub(r"[^\w.=+-]+", "_", ",".join(rest), flags=re.ASCII) if rest else ""
    if suffix != ",".join(rest) or len(suffix) > _LONGEST:
        # Characters that a folder cannot hold were replaced, so two jobs could meet; the digest keeps them apart.
        digest = hashlib.sha256("\n".join(rest).encode()).hexdigest()[:8]
        suffix = f"{suffix[:_LONGEST]}-{digest}"
    return f"{name}-{suffix}" if suffix else name
