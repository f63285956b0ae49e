"""DeepSpeed's ZeRO: each rank has its share of gradients and the optimizer's memory, and of the weights in stage 3.

DeepSpeed lays the parameters of a group end to end and gives each rank a stretch of that. What belongs to the run stays
the run's: the window's divisor, clipping, learning rates, and whether a step is taken. Checkpoints are whole tensors by
parameter; DeepSpeed's own, which are pickles and fit one number of ranks, are never written.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.engine.optimizer_state import entry_of, named_parameters, refuse_other_parameters, split_entry
from finetune.engine.sharding.computing import Computing
from finetune.engine.sharding.linear import linears_without_views
from finetune.engine.sharding.sharding import Connection, clip_shares, own_copy
from finetune.model.layers import layers_of
from finetune.model.trained import refuse_other_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """This rank's share of a parameter: `count` numbers from `start` of the parameter, from `place` of a flat tensor.

    Args:
        flat: The optimizer's parameter, which holds shares of many; also where this one's share is empty.
    """

    flat: Tensor
    start: int
    place: int
    count: int

    def of_parameter(self, whole: Tensor) -> Tensor:
        """Return the share of a tensor that is shaped as the parameter is."""
        return whole.reshape(-1)[self.start : self.start + self.count]

    def of_flat(self, flat: Tensor) -> Tensor:
        """Return the share's place in a tensor that is as long as the flat one."""
        return flat[self.place : self.place + self.count]


class Zero:
    """A `Sharding` by DeepSpeed.

    Args:
        stage: 2 or 3.
    """

    def __init__(self, connection: Connection, *, stage: int) -> None:
        self._connection = connection
        self._stage = stage
        self._engine: Any = None
        self._trained: dict[str, Any] = {}
        self._flats: dict[Any, Tensor] = {}

    def shard(self, losses: nn.Module) -> None:
        """Leave it to `connect`: parameters stay the same objects, and DeepSpeed wants their optimizer too."""

    def connect(self, losses: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Divide everything; the optimizer that is returned has flat parameters, in the same groups."""
        import deepspeed

        if self._connection.device.type == "cpu":
            # Otherwise it compiles a shared-memory operation with g++, for two minutes, which gloo does not need.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        self._trained = named_parameters(optimizer)
        deepspeed.init_distributed(dist_backend=torch.distributed.get_backend(), dist_init_required=False)
        self._engine, divided, _, _ = deepspeed.initialize(
            model=Computing(losses, self._computing), optimizer=optimizer, config=self._settings()
        )
        if self._stage == 3:
            _keep_together(losses)
        else:
            groups = zip(divided.bit16_groups, divided.single_partition_of_fp32_groups, strict=True)
            self._flats = {parameter: flat for group, flat in groups for parameter in group}
        # Not its module: without a call of the engine, stage 3 takes each micro-batch for the first of its step.
        return self._engine, divided

    def accumulating(self, losses: nn.Module, *, more: bool) -> AbstractContextManager[None]:
        """Gradients are added up over ranks after each micro-batch, in shares."""
        self._engine.set_gradient_accumulation_boundary(not more)
        return nullcontext()

    def backward(self, share: Tensor) -> None:
        """Back-propagate; gradients are averaged over ranks, and a sum is wanted."""
        with self._linears():
            self._engine.backward(share * self._connection.world_size)

    def clip(self, parameters: Sequence[nn.Parameter], largest_norm: float) -> float:
        """Clip by the norm of all ranks' shares."""
        return clip_shares(self._gradients(), largest_norm)

    def discard(self, optimizer: Optimizer) -> None:
        """Throw gradients away: DeepSpeed does, with all its buffers, where they are not finite."""
        for gradient in self._gradients():
            gradient.fill_(torch.nan)
        optimizer.step()
        optimizer.zero_grad()

    @contextmanager
    def whole_weights(self) -> Iterator[None]:
        """Gather everything once: generating calls every layer for each token, on each rank as often as it has to."""
        if self._stage == 2:
            yield
            return
        import deepspeed

        offload = self._engine.optimizer.parameter_offload
        parameters = list(self._engine.module.parameters())
        for parameter in parameters:
            parameter.ds_active_sub_modules.clear()
        # They would give each layer's weights up again after its forward pass.
        for hook in (*offload.forward_hooks, *offload.backward_hooks):
            hook.remove()
        offload.forward_hooks, offload.backward_hooks = [], []
        try:
            with deepspeed.zero.GatheredParameters(parameters):
                yield
        finally:
            offload._register_deepspeed_module(offload.module)

    def gather_weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Put what trains together, one tensor after the other."""
        gathered: dict[str, Tensor] = {}
        for name, parameter in self._trained.items():
            gathered |= self._kept(name, self._put_together(parameter, self._stretch(parameter).flat))
        return gathered

    def gather_memory(self, optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Put the memory of each parameter together, one tensor after the other."""
        gathered: dict[str, Tensor] = {}
        for name, parameter in self._trained.items():
            flat = self._stretch(parameter).flat
            for key, value in self._engine.optimizer.optimizer.state.get(flat, {}).items():
                whole = self._put_together(parameter, value) if value.shape == flat.shape else value
                gathered |= self._kept(entry_of(name, key), whole)
        return gathered, {"parameters": list(self._trained), "values": {}}

    def load_weights(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Every rank takes its stretch: DeepSpeed has one to compute with and one to update."""
        refuse_other_state({name: (_shape(one), one.dtype) for name, one in self._trained.items()}, tensors)
        with torch.no_grad():
            for name, parameter in self._trained.items():
                stretch = self._stretch(parameter)
                own = stretch.of_parameter(tensors[name])
                stretch.of_flat(stretch.flat.data).copy_(own)
                if self._stage == 3:
                    parameter.ds_tensor.data[: stretch.count].copy_(own)
                else:
                    parameter.data.copy_(tensors[name])

    def load_memory(self, optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Every rank takes its stretch of what is shaped as the parameter is, and all of what is not."""
        refuse_other_parameters(plain["parameters"], list(self._trained))
        state = self._engine.optimizer.optimizer.state
        state.clear()
        for entry, value in tensors.items():
            name, key = split_entry(entry)
            stretch, kept = self._stretch(self._trained[name]), state[self._stretch(self._trained[name]).flat]
            if value.shape == _shape(self._trained[name]):
                flat = kept.setdefault(key, torch.zeros_like(stretch.flat, dtype=value.dtype))
                stretch.of_flat(flat).copy_(stretch.of_parameter(value))
            else:
                kept[key] = value.to(stretch.flat.device) if optimizer.param_groups[0].get("fused") else value.clone()

    def _settings(self) -> dict[str, Any]:
        """Return DeepSpeed's settings, which leave to the run what the run has its own way with."""
        return {
            # It must be told, and computes nothing with it: the window's divisor is in the loss already.
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": 0.0,
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 2**31,
            "zero_optimization": {
                "stage": self._stage,
                "overlap_comm": self._connection.device.type == "cuda",
                # Small weights that every rank keeps would need another way to be saved and restored.
                "stage3_param_persistence_threshold": 0,
                "memory_efficient_linear": False,  # `linears_without_views` instead.
            },
        }

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with self._connection.computing(), self._linears():
            yield

    def _linears(self) -> AbstractContextManager[None]:
        return linears_without_views() if self._stage == 3 else nullcontext()

    def _gradients(self) -> list[Tensor]:
        shares = self._engine.optimizer.averaged_gradients
        return [share for group in shares.values() for share in group or ()]

    def _stretch(self, parameter: Any) -> Stretch:
        """Find this rank's share of a parameter."""
        optimizer = self._engine.optimizer
        if self._stage == 2:
            flat, mapping = self._flats[parameter], parameter._hp_mapping
            if mapping is None:
                return Stretch(flat=flat, start=0, place=0, count=0)
            there, here = mapping.lp_fragment_address, mapping.hp_fragment_address
            return Stretch(flat=flat, start=there.start, place=here.start, count=there.numel)
        group, place, size = optimizer.grad_position[optimizer.get_param_id(parameter)]
        start = min(self._connection.rank * size, parameter.ds_numel)
        return Stretch(
            flat=optimizer.fp32_partitioned_groups_flat[group],
            start=start,
            place=place,
            # The last ranks' shares may be filled up.
            count=min(size, parameter.ds_numel - start),
        )

    def _put_together(self, parameter: Any, flat: Tensor) -> Tensor:
        """Return the whole of a parameter, or of something as large, of which each rank's flat tensor holds a share."""
        shape, stretch = _shape(parameter), self._stretch(parameter)
        whole = torch.zeros(shape.numel(), dtype=flat.dtype, device=flat.device)
        stretch.of_parameter(whole).copy_(stretch.of_flat(flat.detach()))
        torch.distributed.all_reduce(whole)
        return whole.view(shape)

    def _kept(self, name: str, whole: Tensor) -> dict[str, Tensor]:
        return {name: own_copy(whole)} if self._connection.rank == 0 else {}


def _shape(parameter: Any) -> torch.Size:
    shape: torch.Size = getattr(parameter, "ds_shape", parameter.shape)
    return shape


def _keep_together(losses: nn.Module) -> None:
    """Let a layer's weights be whole while it is entered, and what is no layer's while the losses are computed.

    By itself, DeepSpeed gathers for each linear and gives up after it; but norms are computed, and the head's loss
    takes the embeddings' weight, without calling the module that has it. (What it calls a leaf module would do for
    layers if it did not take a layer's gradients for computed as soon as the layer's input needs none.)
    """
    import deepspeed

    layers = layers_of(losses.model)  # type: ignore[arg-type]
    layered = {id(parameter) for layer in layers for parameter in layer.parameters()}
    for layer in layers:
        for parameter in layer.parameters():
            deepspeed.zero.register_external_parameter(layer, parameter)
    for parameter in losses.parameters():
        if id(parameter) not in layered:
            deepspeed.zero.register_external_parameter(losses, parameter)
