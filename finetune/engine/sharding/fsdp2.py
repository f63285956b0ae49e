"""Every rank has its share of each tensor: torch's `fully_shard`, a layer at a time.

torch's own, not accelerate's: that shards on accelerators alone (on a CPU, where it must be tested, it silently does
DistributedDataParallel), and what it adds is a choice of layers by name, which are known here.

What is no layer (embeddings and head, connector, norms) belongs to the root: gathered when the loss is entered, and
kept until its backward pass is over, so that the head's loss finds its weight whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import SGD, Optimizer

from finetune.engine.optimizer_state import load_optimizer_state, optimizer_state
from finetune.engine.sharding.computing import Computing
from finetune.engine.sharding.sharding import Connection, clip_shares, own_copy
from finetune.model.layers import layers_of, weights_are_there
from finetune.model.trained import load_trained_state, trained_state


class FullySharded:
    """A `Sharding` of weights, gradients and the optimizer's memory."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._root: Any = None

    def shard(self, losses: nn.Module) -> None:
        """Divide every parameter along its first dimension; they become other objects."""
        mesh = init_device_mesh(self._connection.device.type, (self._connection.world_size,))
        for layer in layers_of(losses.model):  # type: ignore[arg-type]
            fully_shard(layer, mesh=mesh)
        self._root = fully_shard(losses, mesh=mesh)
        # Evaluations come before the first training step, and gathering needs what the root shares with the others.
        self._root._get_fsdp_state()._lazy_init()

    def connect(self, losses: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Compute in the run's precision; gradients are connected already."""
        if isinstance(optimizer, SGD):
            # torch divides AdamW's one kernel for everything, and not this one's.
            for group in optimizer.param_groups:
                group["fused"] = False
        return Computing(losses, self._connection.computing), optimizer

    def accumulating(self, losses: nn.Module, *, more: bool) -> AbstractContextManager[None]:
        """Nothing is put off: gradients that wait for their sum would have to wait whole."""
        return nullcontext()

    def backward(self, share: Tensor) -> None:
        """Back-propagate; shares of gradients are averaged over ranks, and a sum is wanted."""
        (share * self._connection.world_size).backward()  # type: ignore[no-untyped-call]

    def clip(self, parameters: Sequence[nn.Parameter], largest_norm: float) -> float:
        """Clip by the norm of all ranks' shares."""
        return clip_shares(
            [_local(parameter.grad) for parameter in parameters if parameter.grad is not None], largest_norm
        )

    def discard(self, optimizer: Optimizer) -> None:
        """Throw gradients away."""
        optimizer.zero_grad()

    @contextmanager
    def whole_weights(self) -> Iterator[None]:
        """Gather everything once: generating calls every layer for each token, on each rank as often as it has to."""
        sharded = [module for module in self._root.modules() if isinstance(module, FSDPModule)]
        for module in sharded:
            module.unshard()
        try:
            # The hooks would give weights up, and note an order of layers that a rank without samples does not know.
            with weights_are_there():
                yield
        finally:
            for module in sharded:
                module.reshard()

    def gather_weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Gather one tensor after the other, so that only the main rank holds more than one."""
        return self._gather(trained_state(model))

    def gather_memory(self, optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Gather one tensor after the other."""
        tensors, plain = optimizer_state(optimizer)
        return self._gather(tensors), plain

    def load_weights(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Every rank takes its share."""
        current = trained_state(model)
        load_trained_state(model, {name: _shared_as(whole, current.get(name)) for name, whole in tensors.items()})

    def load_memory(self, optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Every rank takes its share of what is shaped as the parameter is."""
        load_optimizer_state(optimizer, tensors, plain, place=_shared_as)

    def _gather(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        gathered = {}
        for name, tensor in tensors.items():
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self._connection.rank == 0:
                gathered[name] = own_copy(whole)
        return gathered


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _shared_as(whole: Tensor, parameter: Tensor | None) -> Tensor:
    """Return this rank's share of a whole tensor, divided as a parameter of the same shape is."""
    if not isinstance(parameter, DTensor) or whole.shape != parameter.shape:
        return whole
    # Every rank has it: nothing need be sent.
    return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
