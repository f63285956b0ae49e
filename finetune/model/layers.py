"""The layers of both towers: the units in which weights are gathered where each rank holds a share of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

_are_hooks_needless = ContextVar("_are_hooks_needless", default=False)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a PaliGemma's image encoder, then those of its decoder."""
    inner: Any = model.model
    # Earlier releases of transformers keep SigLIP one level further down.
    tower = getattr(inner.vision_tower, "vision_model", inner.vision_tower)
    return [*tower.encoder.layers, *inner.language_model.layers]


@contextmanager
def weights_are_there() -> Iterator[None]:
    """Pass by all hooks of layers inside the block: whoever enters it has gathered the weights."""
    token = _are_hooks_needless.set(True)
    try:
        yield
    finally:
        _are_hooks_needless.reset(token)


def enter(layer: Any, run: Callable[[Tensor], Tensor], states: Tensor) -> Tensor:
    """Compute `run`, which uses a layer's weights, as the layer's own forward where something waits for that.

    Whatever gathers a layer's weights (FSDP2, ZeRO-3) does so in hooks on its call, which driving the layer from
    outside would pass by. Without hooks, nothing lies between.
    """
    # In this order: a compiler, for which layers have no hooks, cannot read the variable.
    if not (layer._forward_pre_hooks or layer._forward_hooks) or _are_hooks_needless.get():
        return run(states)
    own = layer.__dict__.get("forward")
    layer.__dict__["forward"] = run
    try:
        result: Tensor = layer(states)
    finally:
        # DeepSpeed and adapters may have put a forward of their own on the instance.
        if own is None:
            del layer.__dict__["forward"]
        else:
            layer.__dict__["forward"] = own
    return result
