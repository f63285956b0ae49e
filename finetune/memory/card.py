"""The memory that a step may use, on a card or on a host without one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from finetune.memory.prediction import GIB, Prediction

# Of a GPU: what the driver and the kernels' libraries take, and what the allocator loses between blocks of other sizes.
CONTEXT = 1 * GIB
FRAGMENTATION = 0.04
# Of a host without a GPU, other programs take what is free now.
HOST_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A device by its memory.

    Args:
        name: For people.
        free: Bytes that are free for tensors, fragmentation included.
        fragmentation: Share on top of what tensors take.
        is_gpu: Whether kernels are a GPU's, or this host's.
    """

    name: str
    free: float
    fragmentation: float
    is_gpu: bool

    @classmethod
    def of_size(cls, gib: float) -> "Card":
        """Return a GPU that nobody uses yet, by the size that it is sold with."""
        return cls(name=f"a card of {gib:g} GiB", free=gib * GIB - CONTEXT, fragmentation=FRAGMENTATION, is_gpu=True)

    @classmethod
    def here(cls, *, sharing: int = 1) -> "Card":
        """Return this process's device with what is free on it now: the GPU, else its share of the host.

        Args:
            sharing: Processes of the run on this host.
        """
        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            # What the allocator holds and nobody uses is free for us.
            unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
            name = f"{torch.cuda.get_device_name()} with {total / GIB:.1f} GiB"
            return cls(name=name, free=free + unused, fragmentation=FRAGMENTATION, is_gpu=True)
        free_on_host = HOST_SHARE * _free_on_host() / sharing
        return cls(name="this host, without a GPU", free=free_on_host, fragmentation=0.0, is_gpu=False)

    def __str__(self) -> str:
        return f"{self.name}: {self.free / GIB:.2f} GiB to use"

    @property
    def free_for_tensors(self) -> float:
        """Bytes that tensors can have."""
        return self.free / (1 + self.fragmentation)

    def taken(self, num_bytes: float) -> float:
        """Return what so many bytes of tensors take of the device."""
        return num_bytes * (1 + self.fragmentation)

    def fits(self, num_bytes: float) -> bool:
        """Tell whether there is room for so many bytes of tensors."""
        return num_bytes <= self.free_for_tensors

    def first_that_fits(self, predictions: Iterable[Prediction]) -> Prediction | None:
        """Return the first whose peak fits; None where none does."""
        return next((one for one in predictions if self.fits(one.step.peak)), None)


def _free_on_host() -> int:
    """Return the bytes that Linux would give away without swapping, at most what the container may have."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if Path("/proc/meminfo").exists() else []
    sizes = {line.partition(":")[0]: line.split()[1] for line in lines}
    free = int(sizes["MemAvailable"]) * 1024 if "MemAvailable" in sizes else 8 * GIB
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text(encoding="ascii").strip().isdecimal():
        free = min(free, int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    return free
