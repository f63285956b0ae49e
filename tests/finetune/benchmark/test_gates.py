"""The gates hold for this project's step, and break for a step that is wrong in each of the ways that were seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from finetune.benchmark.choices import Method, Workload
from finetune.benchmark.dimensions import Dimensions, dimensions_of
from finetune.benchmark.gates import GateError, equality_gates, exact_gates, loss_gate, mask_gates, plain_step
from finetune.benchmark.model import build_model, our_model, trainable_by_name
from finetune.benchmark.samples import draw_windows, our_batch
from finetune.data.packing import Batch
from finetune.model.attention import MaskRule, prefix_lm_mask
from finetune.model.forward import all_states
from finetune.settings import Precision

CPU = torch.device("cpu")


def bidirectional(example_ids: Tensor, position_ids: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    """What transformers computes without token_type_ids, or with a flash kernel: the suffix sees its own answer."""
    return example_ids[:, :, None] == example_ids[:, None, :]


def causal(example_ids: Tensor, position_ids: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    """A text model's mask."""
    not_later = position_ids[:, None] <= position_ids[:, :, None]
    return bidirectional(example_ids, position_ids, is_suffix, prefix_ids) & not_later


@dataclass(frozen=True)
class StepUnder:
    """A step with a mask of one's own, and a factor on its gradients."""

    model: nn.Module
    rule: MaskRule
    factor: float = 1.0

    def loss(self, batch: Batch) -> float:
        return float(self._loss(batch).detach())

    def gradients(self, batch: Batch) -> Mapping[str, Tensor]:
        self.model.zero_grad()
        torch.autograd.backward(self._loss(batch) * self.factor)
        return {name: p.grad for name, p in trainable_by_name(self.model).items() if p.grad is not None}

    def states(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            return all_states(self.model, batch, mask_rule=self.rule)

    def _loss(self, batch: Batch) -> Tensor:
        states = all_states(self.model, batch, mask_rule=self.rule).flatten(0, 1)[batch.predictor_rows]
        logits: Tensor = self.model.lm_head(states)  # type: ignore[operator]
        return cross_entropy(logits, batch.targets)


@pytest.fixture(scope="module")
def scene(workload_of: Callable[..., Workload]) -> tuple[nn.Module, Workload, Dimensions]:
    workload = workload_of(precision=Precision.fp32, batch=3)
    dimensions = dimensions_of(workload.size, workload.generation)
    return build_model(workload, dimensions, CPU), workload, dimensions


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("method", [Method.lora, Method.full])
@pytest.mark.parametrize("row_tokens", [None, 40])
def test_our_step_passes_every_gate(
    generation: int, method: Method, row_tokens: int | None, workload_of: Callable[..., Workload]
) -> None:
    gates = exact_gates(workload_of(generation=generation, method=method, row_tokens=row_tokens), CPU)
    assert [gate.name.split(":")[0] for gate in gates[:2]] == ["leak", "prefix"]
    assert len(gates) == 4
    assert all(gate.holds for gate in gates)


@pytest.mark.parametrize(("rule", "gate"), [(bidirectional, "leak"), (causal, "prefix")])
def test_a_wrong_mask_is_found(rule: MaskRule, gate: str, scene: tuple[nn.Module, Workload, Dimensions]) -> None:
    base, workload, dimensions = scene
    batch = our_batch(draw_windows(workload, dimensions)[0], dimensions, None)
    with pytest.raises(GateError, match=f"no time is told: {gate}") as refusal:
        list(mask_gates(StepUnder(our_model(base, workload), rule), batch, dimensions))
    assert refusal.value.exit_code == 1


@pytest.mark.parametrize(
    ("rule", "factor", "gate"),
    [(bidirectional, 1.0, "our loss"), (causal, 1.0, "our loss"), (prefix_lm_mask, 1.0001, "our gradient")],
)
def test_a_loss_or_a_gradient_that_differs_is_found(
    rule: MaskRule, factor: float, gate: str, scene: tuple[nn.Module, Workload, Dimensions]
) -> None:
    base, workload, dimensions = scene
    window = draw_windows(workload, dimensions)[0]
    subject = StepUnder(our_model(base, workload), rule, factor)
    with pytest.raises(GateError, match=gate):
        list(equality_gates(subject, our_batch(window, dimensions, None), plain_step(base, workload, window), workload))


def test_the_stand_in_of_these_tests_passes_where_nothing_is_wrong(
    scene: tuple[nn.Module, Workload, Dimensions],
) -> None:
    base, workload, dimensions = scene
    window = draw_windows(workload, dimensions)[0]
    subject, batch = StepUnder(our_model(base, workload), prefix_lm_mask), our_batch(window, dimensions, None)
    plain = plain_step(base, workload, window)
    gates = [*mask_gates(subject, batch, dimensions), *equality_gates(subject, batch, plain, workload)]
    assert len(gates) == 4


def test_a_loss_that_is_not_a_number_passes_no_gate(workload_of: Callable[..., Workload]) -> None:
    assert not loss_gate("loss", float("nan"), 6.9, workload_of()).holds
