"""How much memory a step takes beyond what is held between steps.

On a GPU the allocator counts. On Linux the kernel does: writing 5 to /proc/self/clear_refs forgets the highest resident
size so far, which then is that of the step alone.
"""

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path

import torch

from finetune.benchmark.timing import synchronize

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET_HIGHEST = "5"


def means_of(device: torch.device) -> str:
    """Say how peaks are measured on a device."""
    if device.type == "cuda":
        return "torch.cuda.max_memory_allocated"
    return "VmHWM after writing 5 to /proc/self/clear_refs" if _can_forget() else "none: /proc/self is not Linux's"


def extra_bytes(action: Callable[[], None], device: torch.device) -> int | None:
    """Return by how much memory rose above what was held before, at its highest; None where it cannot be measured."""
    gc.collect()
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - before
    if not _can_forget():
        action()
        return None
    # What the C library keeps of the step before would hide what this one needs.
    ctypes.CDLL(None).malloc_trim(0)
    _FORGET.write_text(_FORGET_HIGHEST)
    before = _read("VmRSS")
    action()
    return _read("VmHWM") - before


def _can_forget() -> bool:
    try:
        _FORGET.write_text(_FORGET_HIGHEST)
        return _read("VmHWM") > 0
    except (OSError, KeyError):
        return False


def _read(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), flags=re.MULTILINE)
    if found is None:
        raise KeyError(name)
    return int(found[1]) * 1024
