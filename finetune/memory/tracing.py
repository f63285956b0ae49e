"""What one optimizer step holds at once, by running it on tensors that have shapes and no numbers.

torch's fake tensors go through the run's own forward, backward and update; each new storage is counted when it appears
and when it is let go. So what is saved for the backward pass, what autocast copies and what a kernel needs besides
are known for a model of any size in seconds, on a machine that could not hold it.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from finetune.data.packing import Batch
from finetune.engine.step import MicroBatchLosses, StepRules
from finetune.memory.gpu_kernels import HostIsElsewhere, take_soft_caps_away
from finetune.model.dtype import to_torch_dtype
from finetune.settings import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMemory:
    """Bytes of one optimizer step with one micro-batch.

    Args:
        weights: All parameters and buffers.
        saved: What the forward keeps for the backward.
        gradients: Of what trains.
        optimizer_states: The optimizer's own.
        backward_peak: Most bytes alive at once over forward and backward, of any step but the first: what the optimizer
            made in that one lies beside them. Where the embedding table trains, one gradient of it too much: the
            engine adds those of its two uses in place, but not while somebody counts.
        update_peak: Most bytes alive at once over the update, however many examples there are.
    """

    weights: int
    saved: int
    gradients: int
    optimizer_states: int
    backward_peak: int
    update_peak: int

    @property
    def peak(self) -> int:
        """Most bytes alive at once over a whole step."""
        return max(self.backward_peak, self.update_peak)


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes of all storages that operations made, or that were shown to it, and nobody has let go of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and take in what it made."""
        if function is torch.ops.aten._local_scalar_dense.default:
            # A number that Python asks for, where a kernel may save itself work by it; no tensor has one here.
            return 1.0
        result = function(*args, **(kwargs or {}))
        self.count(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        return result

    def count(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors, each storage once. What was there before must be shown: a view of it would pass for new."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key in self._sizes:
                continue
            self._sizes[key] = storage.nbytes()
            self.live += self._sizes[key]
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._drop, key)

    def disregard(self, tensor: Tensor) -> None:
        """Count a tensor for nothing from now on: it lies elsewhere."""
        key = tensor.untyped_storage()._cdata
        self.live -= self._sizes[key]
        self._sizes[key] = 0

    def _drop(self, key: int) -> None:
        self.live -= self._sizes.pop(key)


def trace_step(
    model: nn.Module,
    batch: Batch,
    rules: StepRules,
    build_optimizer: Callable[[nn.Module], Optimizer],
    *,
    on_gpu: bool = False,
) -> StepMemory:
    """Run one step of a skeleton without computing a number.

    Args:
        model: On the meta device, with adapters, and with what trains chosen; afterwards it holds fake tensors.
        build_optimizer: From the model, once its parameters are fake.
        on_gpu: Whether attention is counted as a GPU's fused kernels take memory, and offloading as leaving the device.
    """
    counter = LiveBytes()
    with ExitStack() as modes:
        fake = modes.enter_context(FakeTensorMode())
        modes.enter_context(counter)
        if on_gpu:
            take_soft_caps_away(model)
            modes.enter_context(HostIsElsewhere(counter.disregard))
        materialize(model)
        counter.count([*model.parameters(), *model.buffers()])
        weights = counter.live
        optimizer = build_optimizer(model)
        shapes: Batch = _to_fake(batch, fake)
        counter.count(leaves_of(shapes))
        before = counter.live
        with _autocast(rules.training.precision):
            share, _ = MicroBatchLosses(model, rules).train()(shapes, shapes.example_weights)
        saved = counter.live - before
        share.backward()
        gradients = _bytes_of(parameter.grad for parameter in model.parameters())
        backward_peak, before = counter.peak, counter.live
        counter.peak = counter.live
        optimizer.step()
        states = counter.live - before
        return StepMemory(
            weights=weights,
            saved=saved,
            gradients=gradients,
            optimizer_states=states,
            backward_peak=backward_peak + states,
            update_peak=counter.peak,
        )


def leaves_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch, those of its layout among them."""
    if isinstance(value, Tensor):
        yield value
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from leaves_of(getattr(value, field.name))


def materialize(model: nn.Module) -> None:
    """Put tensors on the CPU, with nothing written into them, in place of a skeleton's on the meta device.

    Tracing needs them there: autocast leaves operations on the meta device alone.
    """
    made: dict[Tensor, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if parameter not in made:
                empty = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                made[parameter] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
            module._parameters[name] = made[parameter]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")


def _to_fake(value: Any, fake: FakeTensorMode) -> Any:
    """Return a batch, or what it is made of, with tensors of the same shapes."""
    if isinstance(value, Tensor):
        return fake.from_tensor(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _to_fake(getattr(value, field.name), fake) for field in fields(value)})
    return value


def _autocast(precision: Precision) -> torch.autocast:
    is_mixed = precision is not Precision.fp32
    return torch.autocast("cpu", dtype=to_torch_dtype(precision) if is_mixed else None, enabled=is_mixed)


def _bytes_of(tensors: Iterable[Tensor | None]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors if tensor is not None)
