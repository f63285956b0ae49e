"""Reading numbers from the device without making it wait for this process."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

OwnerT = TypeVar("OwnerT")


class LookBehind(Generic[OwnerT]):
    """Numbers on their way from the device, each with the one that it belongs to.

    Reading a number waits until the device has done all that was asked of it before, and it then idles until this
    process has thought of more. So what is posted after one step is read when the next step has been asked for.

    Args:
        is_late: Whether to read a post only after the next one. On a CPU nothing is gained by it.

    Source:
        big_vision trainers/proj/paligemma/predict_fns.py, `eos_look_behind` (0127fb6).
    """

    def __init__(self, *, is_late: bool) -> None:
        self._num_late = int(is_late)
        self._posted: deque[tuple[Sequence[OwnerT], Tensor, torch.Event | None]] = deque()

    def post(self, owners: Sequence[OwnerT], numbers: Tensor) -> None:
        """Send numbers off, one for each owner."""
        copy = numbers.to("cpu", non_blocking=True)
        if numbers.device.type == "cpu":
            self._posted.append((owners, copy, None))
            return
        copied = torch.Event(numbers.device)
        copied.record()
        self._posted.append((owners, copy, copied))

    def arrived(self) -> Iterator[tuple[OwnerT, int]]:
        """Yield what is due, in the order of posting."""
        while len(self._posted) > self._num_late:
            owners, numbers, copied = self._posted.popleft()
            if copied is not None:
                copied.synchronize()
            yield from zip(owners, numbers.tolist(), strict=True)
