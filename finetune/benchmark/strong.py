"""The strong baseline: what an expert writes by hand with transformers and peft, without rewriting the model.

Scores only where there is a label, no checkpointing, no cache, fused AdamW, rows found while collating.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from finetune.benchmark.choices import Workload
from finetune.benchmark.model import num_bytes, peers_model, plain_modules, use_attention
from finetune.benchmark.samples import IGNORE_INDEX, Window, in_turn, transformers_inputs
from finetune.benchmark.variants import CLIP_NORM, LEARNING_RATE
from finetune.settings import Precision


class Strong:
    """A loop of twenty lines around transformers' PaliGemmaModel."""

    def __init__(self, base: nn.Module, workload: Workload, windows: Sequence[Window]) -> None:
        self._model: Any = peers_model(base, workload)
        self._inner = plain_modules(self._model)
        self._attention = use_attention(self._inner, workload)
        self._model.train()
        self._device = next(self._model.parameters()).device
        self._precision = workload.precision
        self._trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(self._trained, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        self._batches = in_turn(tuple(_collate(window) for window in windows))
        self._loss = torch.tensor(float("nan"))

    @property
    def what(self) -> str:
        return f"hand-written loop: scores at the labels only, fused AdamW, {self._attention} attention"

    def step(self) -> None:
        batch = {name: tensor.to(self._device, non_blocking=True) for name, tensor in next(self._batches).items()}
        rows, targets = batch.pop("rows"), batch.pop("targets")
        with self._autocast():
            states = self._inner.model(**batch, use_cache=False).last_hidden_state
            logits = self._inner.lm_head(states.flatten(0, 1).index_select(0, rows))
            loss = cross_entropy(logits.float(), targets)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._trained, CLIP_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._loss = loss.detach()

    def loss(self) -> float:
        return float(self._loss)

    def held_bytes(self) -> int:
        states = [value for state in self._optimizer.state.values() for value in state.values()]
        return num_bytes(iter([*self._model.parameters(), *states]))

    def close(self) -> None:
        """Nothing outlives it."""

    def _autocast(self) -> AbstractContextManager[Any]:
        enabled = self._precision is not Precision.fp32
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=enabled)


def _collate(window: Window) -> dict[str, Tensor]:
    """Return transformers' inputs with the flat positions that predict a label in the labels' place."""
    inputs = transformers_inputs(window)
    labels = inputs.pop("labels").flatten()
    rows = (labels != IGNORE_INDEX).nonzero()[:, 0]
    return {**inputs, "rows": rows - 1, "targets": labels[rows]}
