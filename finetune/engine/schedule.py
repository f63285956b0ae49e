"""The learning rate as a pure function of the step: nothing to save, nothing to restore.

With 100 steps and a warm-up of 5, the factors on the learning rate are

    step      0    1    2    3    4    5     ...  52    ...  99
    Cosine    0    0.2  0.4  0.6  0.8  1     ...  0.51  ...  0.0003
    Linear    0    0.2  0.4  0.6  0.8  1     ...  0.505 ...  0.0105
    Constant  0    0.2  0.4  0.6  0.8  1     ...  1     ...  1

The first update of a warm-up changes no weight, but it does feed the optimizer's moments, as in the original.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from finetune.settings import at_least, between


@runtime_checkable
class Schedule(Protocol):
    """What `conf/schedule/*.yaml` names."""

    @property
    def depends_on_total_steps(self) -> bool:
        """Whether a longer run has other learning rates from its start, so that this one cannot be made longer."""
        ...

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in.

        Raises:
            ValueError: Naming the setting.
        """
        ...

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`, 0 <= step < total_steps."""
        ...


@runtime_checkable
class _WarmsUp(Protocol):
    @property
    def warmup_steps(self) -> int | None: ...

    @property
    def warmup_ratio(self) -> float | None: ...


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
        _check_fields(self)
        between("final_fraction", self.final_fraction, 0, 1)

    @property
    def depends_on_total_steps(self) -> bool:
        """It reaches its end at the last step."""
        return True

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in."""
        _check_warmup(self, total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`."""

        def decay(progress: float) -> float:
            return _down_to(self.final_fraction, 0.5 * (1 + math.cos(math.pi * progress)))

        return _factor(self, step, total_steps, decay)


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
        _check_fields(self)
        between("final_fraction", self.final_fraction, 0, 1)

    @property
    def depends_on_total_steps(self) -> bool:
        """It reaches its end at the last step."""
        return True

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in."""
        _check_warmup(self, total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`."""
        return _factor(self, step, total_steps, lambda progress: _down_to(self.final_fraction, 1 - progress))


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
        _check_fields(self)

    @property
    def depends_on_total_steps(self) -> bool:
        """Its warm-up does where that is a share of all steps."""
        return bool(self.warmup_ratio)

    def check(self, total_steps: int) -> None:
        """Refuse a warm-up that leaves no step to train in."""
        _check_warmup(self, total_steps)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor on the learning rate of update `step`."""
        return _factor(self, step, total_steps, lambda progress: 1.0)


def _check_fields(schedule: _WarmsUp) -> None:
    if (schedule.warmup_steps is None) == (schedule.warmup_ratio is None):
        raise ValueError("set exactly one of warmup_steps and warmup_ratio; the other is null")
    if schedule.warmup_steps is not None:
        at_least("warmup_steps", schedule.warmup_steps, 0)
    if schedule.warmup_ratio is not None:
        between("warmup_ratio", schedule.warmup_ratio, 0, 1)


def _check_warmup(schedule: _WarmsUp, total_steps: int) -> None:
    warmup = _num_warmup_steps(schedule, total_steps)
    # A run of one step is for debugging: it may be all warm-up, as in the original.
    if total_steps > 1 and warmup >= total_steps:
        raise ValueError(
            f"the schedule's warm-up takes {warmup} of {total_steps} steps and leaves none to train in; "
            "lower warmup_steps or warmup_ratio, or raise training.max_steps"
        )


def _factor(schedule: _WarmsUp, step: int, total_steps: int, decay: Callable[[float], float]) -> float:
    """Return the factor of a warm-up followed by a decay.

    Exactly 0 at the first update of a warm-up, exactly `decay(0)` at the first one after it.

    Args:
        decay: From the share of the decay that lies behind (0 in the warm-up, 1 after the last update) to a factor.

    Source:
        big_vision utils.py, `create_learning_rate_schedule`.
    """
    warmup = _num_warmup_steps(schedule, total_steps)
    progress = min(1.0, max(0.0, (step - warmup) / max(1, total_steps - warmup)))
    warming = min(1.0, step / warmup) if warmup else 1.0
    return warming * decay(progress)


def _down_to(final_fraction: float, share: float) -> float:
    """Return the point between `final_fraction` (share 0) and 1 (share 1)."""
    return final_fraction + (1 - final_fraction) * share


def _num_warmup_steps(schedule: _WarmsUp, total_steps: int) -> int:
    """Return the length of the warm-up in updates.

    Source:
        big_vision utils.py, `steps`: rounded to the nearest, but at least one unless the ratio is 0.
    """
    if schedule.warmup_steps is not None:
        return schedule.warmup_steps
    ratio = schedule.warmup_ratio
    assert ratio is not None
    return max(1, round(ratio * total_steps)) if ratio else 0
