"""The processes of a run and what they do together: the only file that knows accelerate.

One process is one rank with one device. `Ranks` works the same with one rank and with many, however they divide what a
learner holds (`finetune.engine.sharding`), so that the step and the loop are written once.
"""

import atexit
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    InitProcessGroupKwargs,
    broadcast_object_list,
    gather_object,
)
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.engine.distribution import Distribution, Mode
from finetune.engine.launch import meet_anew, refuse_other_plans, settle_for_cpu
from finetune.engine.sharding.replicated import Replicated
from finetune.engine.sharding.sharding import Connection, Sharding
from finetune.engine.watched import longest_wait, watched
from finetune.settings import Precision

_MIXED_PRECISION = {Precision.fp32: "no", Precision.bf16: "bf16", Precision.fp16: "fp16"}
_Result = TypeVar("_Result")


class Ranks:
    """This process among all processes of the run.

    Args:
        precision: What matrix products are computed in. Of several in one process, the last one counts.
        distribution: What ranks divide; None: the default.

    Raises:
        ValueError: If the precision cannot be had on this device, or the launcher and the choice contradict each other.
        PeerLostError: Of everything that ranks do together, where one of them is gone.
        RuntimeError: If the launcher started processes that do not find each other.
    """

    def __init__(self, precision: Precision, distribution: Distribution | None = None) -> None:
        self._distribution = distribution or Distribution()
        launched = int(os.environ.get("WORLD_SIZE", "1"))
        self._distribution.check_launch(launched)
        refuse_other_plans(self._distribution.mode)
        settle_for_cpu(launched)
        self._meeting = meet_anew()
        on_cpu = not torch.accelerator.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
        if precision is Precision.fp16 and on_cpu:
            raise ValueError("training.precision=fp16 needs a GPU; set training.precision=bf16 or fp32")
        # accelerate keeps one precision for each process; the jobs of a sweep share one. Connections stay as they are.
        AcceleratorState._reset_state()
        self._accelerator = Accelerator(
            mixed_precision=_MIXED_PRECISION[precision],
            kwargs_handlers=[
                # Buffers are constants here (rotary frequencies): broadcasting them at every forward would be waste.
                DistributedDataParallelKwargs(broadcast_buffers=False),
                InitProcessGroupKwargs(timeout=longest_wait(self._distribution)),
            ],
        )
        if self._accelerator.num_processes != launched:
            raise RuntimeError(
                f"the launcher started {launched} processes but accelerate sees {self._accelerator.num_processes}: "
                "each would train its own copy. Check the launcher's configuration (`accelerate env`)"
            )
        self._watched = watched(self._distribution, self.rank, self.world_size)
        self._sharding: Sharding = Replicated(self._accelerator)

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

    def shard(self, losses: nn.Module) -> None:
        """Divide a module's weights among the ranks, before its optimizer is built; parameters may become others."""
        self._sharding = self._new_sharding()
        self._sharding.shard(losses)

    def prepare(self, losses: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Move a module to the device and connect its gradients across ranks; call and step what is returned."""
        return self._sharding.connect(losses, optimizer)

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the run's precision inside the block; needed outside a prepared module's forward."""
        context: AbstractContextManager[None] = self._accelerator.autocast()
        return context

    def whole_weights(self) -> AbstractContextManager[None]:
        """Let every rank have all weights inside the block, to generate with. Every rank must enter it.

        Nothing that ranks must do together is inside a forward then, so that each may say as much as it has to.
        """
        return self._sharding.whole_weights()

    def training(self, step: int) -> AbstractContextManager[None]:
        """Enclose a training step (from 0): it has a time limit of its own."""
        return self._watched.within(f"training step {step + 1}")

    def accumulating(self, module: nn.Module, *, more: bool) -> AbstractContextManager[None]:
        """Enclose forward and backward of a micro-batch, after which `more` follow or not."""
        return self._sharding.accumulating(module, more=more)

    def forward(self, losses: nn.Module, batch: Any, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return this rank's share of the window's loss and its examples' losses, with weights gathered as needed."""
        with self._together("forward pass"):
            found: tuple[Tensor, Tensor] = losses(batch, weights)
            return found

    def backward(self, share: Tensor) -> None:
        """Back-propagate this rank's share of a loss that is a sum over ranks, scaled for fp16 where needed."""
        with self._together("backward pass"):
            self._sharding.backward(share)

    def clip(self, parameters: Iterable[nn.Parameter], largest_norm: float) -> float:
        """Scale gradients down to a global norm and return the norm that they had; not finite if one was not."""
        with self._together("clipping"):
            return self._sharding.clip(list(parameters), largest_norm)

    def apply(self, optimizer: Optimizer) -> None:
        """Update the weights and forget the gradients."""
        with self._together("update"):
            optimizer.step()
            optimizer.zero_grad()

    def discard(self, optimizer: Optimizer) -> None:
        """Throw away gradients that must not be used; the fp16 loss scale then falls."""
        with self._together("update"):
            self._sharding.discard(optimizer)

    def gather_state(
        self, model: nn.Module, optimizer: Optimizer
    ) -> tuple[dict[str, Tensor], tuple[dict[str, Tensor], dict[str, Any]]]:
        """Return what trains and what the optimizer remembers, whole, as `Sharding` has them."""
        with self._together("gathering the state"):
            return self._sharding.gather_weights(model), self._sharding.gather_memory(optimizer)

    def load_state(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        weights: Mapping[str, Tensor],
        memory: tuple[Mapping[str, Tensor], Mapping[str, Any]],
    ) -> None:
        """Put back what `gather_state` returned, which every rank gives alike; raises as `Sharding` does."""
        with self._together("putting the state back"):
            self._sharding.load_weights(model, weights)
            self._sharding.load_memory(optimizer, *memory)

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
        with self._together("adding up"):
            total: Tensor = self._accelerator.reduce(
                torch.tensor(values, dtype=torch.float64, device=self.device), reduction="sum"
            )
        return [float(value) for value in total.tolist()]

    def gather(self, values: Sequence[Any]) -> list[Any]:
        """Put the Python objects of all ranks one after another, by rank; every rank gets them."""
        if self.world_size == 1:
            return list(values)
        with self._together("collecting"):
            return list(gather_object(list(values)))

    def broadcast(self, value: Any) -> Any:
        """Give every rank the main rank's Python object."""
        if self.world_size == 1:
            return value
        with self._together("hearing the main rank"):
            return broadcast_object_list([value])[0]

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
        with self._together("waiting for all"):
            self._accelerator.wait_for_everyone()

    def end(self) -> None:
        """Let the other ranks go. The next `Ranks` of this process, as in a sweep, meets them as they are.

        They are closed when the process ends: torch cannot open them a second time without old and new ones meeting.
        """
        self._watched.end()
        if self.world_size > 1:
            atexit.unregister(_disconnect)
            atexit.register(_disconnect)

    def _together(self, doing: str) -> AbstractContextManager[None]:
        return self._watched.together(doing)

    def _new_sharding(self) -> Sharding:
        """Return what divides the next learner; its heavy libraries are imported only where they are used."""
        mode = self._distribution.mode
        if self.world_size == 1 or mode in (Mode.single, Mode.ddp):
            return Replicated(self._accelerator)
        connection = Connection(rank=self.rank, world_size=self.world_size, device=self.device, computing=self.autocast)
        if mode is Mode.fsdp2:
            from finetune.engine.sharding.fsdp2 import FullySharded

            return FullySharded(connection)
        from finetune.engine.sharding.zero import Zero

        return Zero(connection, stage=2 if mode is Mode.zero2 else 3)


def _disconnect() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
