"""The processes of a run and what they do together: the only file that knows accelerate.

One process is one rank with one device. `Ranks` works the same with one rank and with many, so that the step and the
loop are written once.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.settings import Precision

_MIXED_PRECISION = {Precision.fp32: "no", Precision.bf16: "bf16", Precision.fp16: "fp16"}
_Result = TypeVar("_Result")


class Ranks:
    """This process among all processes of the run.

    Args:
        precision: What matrix products are computed in. Of several in one process, the last one counts.

    Raises:
        ValueError: If the precision cannot be had on this device.
        RuntimeError: If the launcher started processes that do not find each other.
    """

    def __init__(self, precision: Precision) -> None:
        launched = int(os.environ.get("WORLD_SIZE", "1"))
        if launched > 1 and not torch.accelerator.is_available():
            # Without it, accelerate lets each process of a CPU host train its own copy, and says nothing.
            os.environ["ACCELERATE_USE_CPU"] = "true"
        on_cpu = not torch.accelerator.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
        if precision is Precision.fp16 and on_cpu:
            raise ValueError("training.precision=fp16 needs a GPU; set training.precision=bf16 or fp32")
        # accelerate keeps one precision for each process; the jobs of a sweep share one. Connections stay as they are.
        AcceleratorState._reset_state()
        # Buffers are constants here (rotary frequencies): broadcasting them at every forward would be waste.
        self._accelerator = Accelerator(
            mixed_precision=_MIXED_PRECISION[precision],
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        if self._accelerator.num_processes != launched:
            raise RuntimeError(
                f"the launcher started {launched} processes but accelerate sees {self._accelerator.num_processes}: "
                "each would train its own copy. Check the launcher's configuration (`accelerate env`)"
            )

    @property
    def rank(self) -> int:
        """This process's number, 0..world_size-1."""
        return int(self._accelerator.process_index)

    @property
    def world_size(self) -> int:
        """How many processes the run has."""
        return int(self._accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return bool(self._accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self._accelerator.device
        return device

    def prepare(self, module: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Move a module to the device and connect its gradients across ranks; its parameters stay the same objects."""
        prepared: tuple[nn.Module, Optimizer] = self._accelerator.prepare(module, optimizer)
        return prepared

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the run's precision inside the block; needed outside a prepared module's forward."""
        context: AbstractContextManager[None] = self._accelerator.autocast()
        return context

    def accumulating(self, module: nn.Module, *, more: bool) -> AbstractContextManager[None]:
        """Keep gradients to this rank where `more` micro-batches follow; the last one's backward adds up the ranks."""
        context: AbstractContextManager[None] = self._accelerator.no_sync(module) if more else nullcontext()
        return context

    def backward(self, share: Tensor) -> None:
        """Back-propagate this rank's share of a loss that is a sum over ranks, scaled for fp16 where needed."""
        # DistributedDataParallel averages gradients over ranks; a sum is wanted.
        self._accelerator.backward(share * self.world_size)

    def clip(self, parameters: Iterable[nn.Parameter], largest_norm: float) -> float:
        """Scale gradients down to a global norm and return the norm that they had; not finite if one was not."""
        norm = self._accelerator.clip_grad_norm_(list(parameters), largest_norm)
        return float(norm)

    def discard(self, optimizer: Optimizer) -> None:
        """Throw away gradients that must not be used; the fp16 loss scale then falls."""
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.update()
        optimizer.zero_grad()

    def loss_scale(self) -> float:
        """The factor on the loss that keeps fp16 gradients from vanishing; 1 in other formats."""
        return float(self._accelerator.scaler.get_scale()) if self._accelerator.scaler is not None else 1.0

    def scaler_state(self) -> dict[str, float]:
        """What the fp16 loss scaling must remember across a resume; empty in other formats."""
        return dict(self._accelerator.scaler.state_dict()) if self._accelerator.scaler is not None else {}

    def load_scaler_state(self, state: dict[str, float]) -> None:
        """Take up what `scaler_state` returned in a run of the same precision."""
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Add numbers over all ranks, in float64; every rank gets the same sums."""
        if self.world_size == 1:
            return [float(value) for value in values]
        total: Tensor = self._accelerator.reduce(
            torch.tensor(values, dtype=torch.float64, device=self.device), reduction="sum"
        )
        return [float(value) for value in total.tolist()]

    def gather(self, values: Sequence[Any]) -> list[Any]:
        """Put the Python objects of all ranks one after another, by rank; every rank gets them."""
        return list(values) if self.world_size == 1 else list(gather_object(list(values)))

    def broadcast(self, value: Any) -> Any:
        """Give every rank the main rank's Python object."""
        return broadcast_object_list([value])[0] if self.world_size > 1 else value

    def on_main(self, function: Callable[[], _Result]) -> _Result:
        """Call a function on the main rank alone; every rank returns its result, or raises its error.

        The others wait meanwhile, so a failure there cannot leave them hanging.
        """
        outcome: tuple[_Result | None, Exception | None] = (None, None)
        if self.is_main:
            try:
                outcome = (function(), None)
            except Exception as error:  # Whatever it is, all ranks must hear of it.
                outcome = (None, error)
        result, failure = self.broadcast(outcome)
        if failure is not None:
            raise failure
        returned: _Result = result
        return returned

    def wait(self) -> None:
        """Return when every rank has come here."""
        self._accelerator.wait_for_everyone()

    def end(self) -> None:
        """Close the connections between the ranks; the next `Ranks` of this process opens new ones."""
        is_connected = self.world_size > 1
        self._accelerator.end_training()
        if is_connected:
            AcceleratorState._reset_state(reset_partial_state=True)
