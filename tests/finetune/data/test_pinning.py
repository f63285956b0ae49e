from dataclasses import dataclass, field

import torch
from torch import Tensor

from finetune.data.pinning import pinned


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    tensor: Tensor
    name: str
    total: int = field(init=False, default=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inner: Inner
    missing: Tensor | None
    several: tuple[Inner, ...]
    numbers: dict[str, int]


def test_every_tensor_is_pinned_and_all_else_stays(monkeypatch):
    seen = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: seen.append(tensor) or tensor + 100)
    value = Outer(
        inner=Inner(tensor=torch.tensor([1]), name="a"),
        missing=None,
        several=(Inner(tensor=torch.tensor([2]), name="b"), Inner(tensor=torch.tensor([3]), name="c")),
        numbers={"d": 4},
    )
    moved = pinned(value)
    assert len(seen) == 3
    assert [moved.inner.tensor.item(), *(one.tensor.item() for one in moved.several)] == [101, 102, 103]
    assert (moved.inner.name, moved.several[1].name, moved.missing, moved.numbers) == ("a", "c", None, {"d": 4})
    assert moved.inner.total == 3
