"""The learning rate as a pure function of the step: nothing to save, nothing to restore.

With 100 steps and a warm-up of 5, the factors on the learning rate are

    step      0    1    2    3    4    5     ...  52    ...  99
    Cosine    0    0.2  0.4  0.6  0.8  1     ...  0.51  ...  0.0003
    Linear    0    0.2  0.4  0.6  0.8  1     ...  0.505 ...  0.0105
    Constant  0    0.2  0.4  0.6  0.8  1     ...  1     ...  1

The first update of a warm-up changes no weight, but it does feed the optimizer's moments, as in the original.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from finetune.settings import at_least, between


@runtime_checkable
class Schedule(Protocol):
    """What `conf/schedule/*.yaml` names."""

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in.

        Raises:
            ValueError: Naming the setting.
        """
        ...

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`, 0 <= step < total_steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from the full learning rate down to `final_fraction` of it.

    Args:
        warmup_steps: Updates of linear warm-up; None: given by warmup_ratio.
        warmup_ratio: The same as a share of all updates, at least one; None: given by warmup_steps.
        final_fraction: Where the learning rate ends, as a share of its peak.
    """

    warmup_steps: int | None = None
    warmup_ratio: float | None = 0.05
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        _check_fields(self.warmup_steps, self.warmup_ratio)
        between("final_fraction", self.final_fraction, 0, 1)

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in."""
        _check_warmup(_warmup_steps(self.warmup_steps, self.warmup_ratio, total_steps), total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`."""
        warmup = _warmup_steps(self.warmup_steps, self.warmup_ratio, total_steps)
        share = 0.5 * (1 + math.cos(math.pi * _progress(step, warmup, total_steps)))
        return _warming(step, warmup) * (self.final_fraction + (1 - self.final_fraction) * share)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A straight line from the full learning rate down to `final_fraction` of it.

    Args:
        warmup_steps: Updates of linear warm-up; None: given by warmup_ratio.
        warmup_ratio: The same as a share of all updates, at least one; None: given by warmup_steps.
        final_fraction: Where the learning rate ends, as a share of its peak.
    """

    warmup_steps: int | None = None
    warmup_ratio: float | None = 0.05
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        _check_fields(self.warmup_steps, self.warmup_ratio)
        between("final_fraction", self.final_fraction, 0, 1)

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in."""
        _check_warmup(_warmup_steps(self.warmup_steps, self.warmup_ratio, total_steps), total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`."""
        warmup = _warmup_steps(self.warmup_steps, self.warmup_ratio, total_steps)
        share = 1 - _progress(step, warmup, total_steps)
        return _warming(step, warmup) * (self.final_fraction + (1 - self.final_fraction) * share)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The full learning rate after the warm-up.

    Args:
        warmup_steps: Updates of linear warm-up; None: given by warmup_ratio.
        warmup_ratio: The same as a share of all updates, at least one; None: given by warmup_steps.
    """

    warmup_steps: int | None = None
    warmup_ratio: float | None = 0.05

    def __post_init__(self) -> None:
        _check_fields(self.warmup_steps, self.warmup_ratio)

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in."""
        _check_warmup(_warmup_steps(self.warmup_steps, self.warmup_ratio, total_steps), total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`."""
        return _warming(step, _warmup_steps(self.warmup_steps, self.warmup_ratio, total_steps))


def _check_fields(steps: int | None, ratio: float | None) -> None:
    if (steps is None) == (ratio is None):
        raise ValueError("set exactly one of warmup_steps and warmup_ratio; the other is null")
    if steps is not None:
        at_least("warmup_steps", steps, 0)
    if ratio is not None:
        between("warmup_ratio", ratio, 0, 1)


def _check_warmup(warmup: int, total_steps: int) -> None:
    # A run of one step is for debugging: it may be all warm-up, as in the original.
    if total_steps > 1 and warmup >= total_steps:
        raise ValueError(
            f"the schedule's warm-up takes {warmup} of {total_steps} steps and leaves none to train in; "
            "lower warmup_steps or warmup_ratio, or raise training.max_steps"
        )


def _warmup_steps(steps: int | None, ratio: float | None, total_steps: int) -> int:
    """Return the length of the warm-up in updates.

    Source:
        big_vision utils.py, `steps`: rounded to the nearest, but at least one unless the ratio is 0.
    """
    if steps is not None:
        return steps
    assert ratio is not None
    return max(1, round(ratio * total_steps)) if ratio else 0


def _warming(step: int, warmup: int) -> float:
    """Return the warm-up's own factor: exactly 0 at the first update, 1 from update `warmup` on."""
    return min(1.0, step / warmup) if warmup else 1.0


def _progress(step: int, warmup: int, total_steps: int) -> float:
    """Return the share of the decay that lies behind: 0 in the warm-up, 1 after the last update.

    Source:
        big_vision utils.py, `create_learning_rate_schedule`.
    """
    return min(1.0, max(0.0, (step - warmup) / max(1, total_steps - warmup)))
