"""A sound model passes in every format, and each way of being wrong is found by name."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.evaluate.probes import Forward
from finetune.evaluate.self_test import SelfTestError, SelfTestReport, run_self_test
from finetune.model.attention import MaskRule, prefix_lm_mask
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.types import TokenizedExample

MakeExamples = Callable[..., list[TokenizedExample]]


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def model(request: pytest.FixtureRequest, small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(request.param)


@pytest.fixture
def examples(random_examples: MakeExamples) -> list[TokenizedExample]:
    return random_examples(3)


def self_test(model: nn.Module, examples: list[TokenizedExample], forward: Forward = all_states) -> SelfTestReport:
    rng = np.random.default_rng(0)
    pixels = [torch.from_numpy(rng.integers(0, 256, (1, 3, 28, 28), dtype=np.uint8)) for _ in examples]
    return run_self_test(model, examples, pixels, image_token_id=40, eos_id=1, vocabulary_size=40, forward=forward)


def with_mask(rule: MaskRule) -> Forward:
    def forward(model: nn.Module, batch: Batch) -> Tensor:
        return all_states(model, batch, mask_rule=rule)

    return forward


def prefix_lm(owners: Tensor, positions: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    return ~is_suffix[:, None, :] | (positions[:, None, :] <= positions[:, :, None])


def same_example(owners: Tensor, positions: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    return owners[:, :, None] == owners[:, None, :]


def causal(owners: Tensor, positions: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    return same_example(owners, positions, is_suffix, prefix_ids) & (positions[:, None, :] <= positions[:, :, None])


def padding_is_visible(owners: Tensor, positions: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    visible = same_example(owners, positions, is_suffix, prefix_ids) | (owners < 0)[:, None, :]
    return visible & prefix_lm(owners, positions, is_suffix, prefix_ids)


def neighbours_are_visible(owners: Tensor, positions: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    same_kind = (owners < 0)[:, :, None] == (owners < 0)[:, None, :]
    return same_kind & prefix_lm(owners, positions, is_suffix, prefix_ids)


def stretched_positions(model: nn.Module, batch: Batch) -> Tensor:
    return all_states(model, replace(batch, position_ids=2 * batch.position_ids))


def not_a_number(model: nn.Module, batch: Batch) -> Tensor:
    return all_states(model, batch) * torch.nan


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sound_model_passes_in_every_format(
    model: nn.Module, examples: list[TokenizedExample], dtype: torch.dtype, autocast: bool
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        report = self_test(model.to(dtype), examples)
    exact = {check.name: check.measured for check in report.checks}
    assert len(exact) == 7
    assert exact["changing the last suffix token moves no earlier logit"] == 0
    assert exact["padding moves nothing"] == exact["packing neighbours move nothing"] == 0


@pytest.mark.parametrize(
    ("forward", "check"),
    [
        (with_mask(same_example), "changing the last suffix token moves no earlier logit"),
        (with_mask(causal), "changing the last prefix token moves the first image position"),
        (with_mask(padding_is_visible), "padding moves nothing"),
        (with_mask(neighbours_are_visible), "packing neighbours move nothing"),
        (stretched_positions, "teacher-forced logits equal generation's"),
        (not_a_number, "changing the last suffix token moves no earlier logit"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_broken_forward_is_found_by_name(
    model: nn.Module, examples: list[TokenizedExample], dtype: torch.dtype, forward: Forward, check: str
) -> None:
    with pytest.raises(SelfTestError, match="self-test failed: ") as failure:
        self_test(model.to(dtype), examples, forward)
    assert failure.value.check == check
    assert check in str(failure.value)
    assert f"{failure.value.measured:.3g}" in str(failure.value)


def test_states_that_depend_on_the_layout_are_found_by_name(model: nn.Module, examples: list[TokenizedExample]) -> None:
    def forward(model: nn.Module, batch: Batch) -> Tensor:
        return all_states(model, batch) * (1 + 0.01 * batch.num_examples)

    with pytest.raises(SelfTestError, match="packed and padded equals alone"):
        self_test(model, examples, forward)


def test_an_unsupervised_eos_is_found_by_name(model: nn.Module, examples: list[TokenizedExample]) -> None:
    cut = [replace(example, input_ids=example.input_ids[:-1], is_suffix=example.is_suffix[:-1]) for example in examples]
    with pytest.raises(SelfTestError, match="EOS is supervised: measured 0"):
        self_test(model, cut)
    self_test(model, [*cut, *examples])


def test_one_example_is_its_own_neighbour(model: nn.Module, examples: list[TokenizedExample]) -> None:
    self_test(model, examples[:1])


def test_an_example_cut_before_its_suffix_is_left_out(model: nn.Module, examples: list[TokenizedExample]) -> None:
    shown = ~examples[0].is_suffix
    cut = replace(examples[0], input_ids=examples[0].input_ids[shown], is_suffix=examples[0].is_suffix[shown])
    self_test(model, [cut, examples[1]])


def test_the_run_goes_on_as_if_nothing_had_happened(model: nn.Module, examples: list[TokenizedExample]) -> None:
    model.train()
    random_state = torch.get_rng_state()
    self_test(model, examples)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_report_says_what_is_in_force(
    small_paligemma: Callable[..., nn.Module], examples: list[TokenizedExample]
) -> None:
    model = small_paligemma(2)
    model.model.language_model.config.final_logit_softcapping = 30.0
    model.model.language_model.layers[1].self_attn.sliding_window = 4096
    model.model.multi_modal_projector.requires_grad_(False)
    lines = "\n".join(self_test(model, examples).lines())
    assert "attention soft-cap: 3; query scale 0.3333; 2 decoder layers" in lines
    assert "final logit soft-cap: never applied here; the configuration says 30" in lines
    assert "sliding windows: never applied here; the configuration has them in 1 layers" in lines
    assert "connector fp32 frozen; embeddings fp32 trained" in lines
    assert "computing in fp32" in lines


def loss_on_random_suffixes(model: nn.Module, batch_of: Callable[..., Batch], rule: MaskRule) -> float:
    """Train on ever new suffixes of six words out of twenty; return the mean loss of the last words seen."""
    rng, losses = np.random.default_rng(0), []
    shown = [40, 40, 40, 40, 2, 5, 4]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(120):
        examples = [
            TokenizedExample(
                sample_id="random",
                input_ids=np.array([*shown, *rng.integers(5, 25, 6), 1]),
                is_suffix=np.arange(14) >= 7,
                num_image_tokens=4,
            )
            for _ in range(32)
        ]
        batch = batch_of(examples)
        logits = vocabulary_logits(model, target_states(model, batch, mask_rule=rule), 40)
        loss = nn.functional.cross_entropy(logits[batch.targets != 1], batch.targets[batch.targets != 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses[-30:]))


def test_random_suffixes_cannot_be_learnt_below_the_logarithm_of_their_vocabulary(
    small_paligemma: Callable[..., nn.Module], batch_of: Callable[..., Batch]
) -> None:
    honest, leaking = (trainable(small_paligemma(2)) for _ in range(2))
    assert math.log(20) - 0.02 < loss_on_random_suffixes(honest, batch_of, prefix_lm_mask) < math.log(20) + 0.2
    assert loss_on_random_suffixes(leaking, batch_of, same_example) < 1


def trainable(model: nn.Module) -> nn.Module:
    """Start from an ordinary final norm, and leave the image encoder alone."""
    model.model.language_model.norm.weight.data.zero_()
    model.model.vision_tower.requires_grad_(False)
    return model
