"""What a training step computes and keeps, counted: no clock, so the same on every machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from finetune.data.layout import Arrangement
from finetune.data.packing import Batch, pack
from finetune.engine import loss as loss_module
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.model.decoder import language_model
from finetune.model.forward import target_states
from finetune.model.parts import Part, part_of
from finetune.settings import Normalization
from finetune.types import TokenizedExample

VOCABULARY_SIZE, TABLE_ROWS, IMAGE_TOKEN = 40, 44, 40
VISION_WIDTH = 24
HIDDEN, MLP, HEAD_DIM, HEADS = 32, 48, 16, 4
BuildModel = Callable[..., nn.Module]
MakeExamples = Callable[..., list[TokenizedExample]]
BatchOf = Callable[..., Batch]


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def generation(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def model(generation: int, small_paligemma: BuildModel) -> nn.Module:
    return small_paligemma(generation)


def loss_of(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the original's loss of a batch, and each example's own."""
    num_targets = int(batch.num_targets.sum())
    weights = example_loss_weights(
        batch, Normalization.example, num_examples=batch.num_examples, num_targets=num_targets
    )
    return micro_batch_loss(model, target_states(model, batch), batch, weights, vocabulary_size=VOCABULARY_SIZE)


def train_only(model: nn.Module, *parts: Part) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name) in parts)


class Shapes(TorchDispatchMode):
    """Notes the shape of everything that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[int, ...]]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self.seen.append((func.name(), tuple(value.shape)))
        return result


@contextmanager
def counting_saved_bytes(model: nn.Module) -> Iterator[dict[int, int]]:
    """Note the size of every storage that is kept for the backward pass, once each, weights left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
            # Alive, so that no address is given away twice.
            kept.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        yield sizes


def transformers_loss(model: nn.Module, examples: list[TokenizedExample], batch_of: BatchOf) -> tuple[Tensor, Tensor]:
    """Compute the same loss with transformers' own forward, eager attention and each example alone."""
    means = []
    for example in examples:
        alone = batch_of([example])
        logits = model(
            input_ids=alone.input_ids,
            pixel_values=alone.pixels / 127.5 - 1,
            token_type_ids=alone.is_suffix.long(),
            attention_mask=torch.ones_like(alone.input_ids),
            use_cache=False,
        ).logits[0, :, :VOCABULARY_SIZE]
        is_target = alone.is_suffix[0]
        means.append(cross_entropy(logits[:-1][is_target[1:]], alone.input_ids[0][is_target]))
    return torch.stack(means).mean(), torch.stack(means).detach()


def gradients_of(model: nn.Module, share: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    share.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        # The gradient of the image encoder's key biases is zero but for rounding: softmax does not see them.
        assert (found[name] - gradient).norm() <= tolerance * gradient.norm() + 1e-8, name


@pytest.mark.parametrize("arrangement", [Arrangement.equal, Arrangement.packed])
def test_loss_and_every_gradient_are_those_of_transformers(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, arrangement: Arrangement
) -> None:
    examples = random_examples(5)
    if arrangement is Arrangement.equal:
        examples = [one for one in random_examples(40) if int((~one.is_suffix).sum()) == 9][:4]
        assert len(examples) > 1
    batch = batch_of(examples)
    assert batch.layout.arrangement is arrangement
    expected, expected_means = transformers_loss(model, examples, batch_of)
    wanted = gradients_of(model, expected)
    found, sums = loss_of(model, batch)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(sums / batch.num_targets, expected_means, rtol=1e-5, atol=0)
    assert_same(gradients_of(model, found), wanted, 1e-5)


def shared_examples(example_of: Callable[..., TokenizedExample]) -> tuple[list[TokenizedExample], list[str]]:
    """Return five examples over two images: three answers to one question, and two other questions."""
    said = [([7, 8], [9, 10, 11]), ([7, 8], [12]), ([7, 9], [13, 14]), ([7, 8], [15, 16]), ([7, 8], [17])]
    keys = ["x", "x", "x", "x", "y"]
    return [example_of(*words, f"s{number}") for number, words in enumerate(said)], keys


@pytest.mark.parametrize("row_tokens", [None, 30])
def test_what_examples_have_in_common_is_computed_once_and_changes_nothing(
    model: nn.Module, row_tokens: int | None
) -> None:
    model.double()
    examples, keys = shared_examples(example_of)
    looks = torch.randint(0, 256, (2, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = torch.stack([looks["xy".index(key)] for key in keys])
    how = {"image_token_id": IMAGE_TOKEN, "row_tokens": row_tokens}
    alone = pack(examples, pixels, **how)
    shared = pack(examples, pixels, **how, image_keys=keys, shares_prefixes=True)
    assert shared.layout.arrangement is Arrangement.tree
    assert shared.input_ids.numel() < alone.input_ids.numel()
    assert (len(alone.pixels), len(shared.pixels)) == (5, 2)
    loss, sums = loss_of(model, alone)
    wanted = gradients_of(model, loss)
    found, shared_sums = loss_of(model, shared)
    # fp32, in which norms and rotations are computed, is what limits this.
    torch.testing.assert_close(shared_sums, sums, rtol=1e-6, atol=0)
    assert_same(gradients_of(model, found), wanted, 1e-6)


def example_of(prefix: list[int], suffix: list[int], sample_id: str) -> TokenizedExample:
    import numpy as np

    shown = [IMAGE_TOKEN] * 4 + [2, *prefix, 4]
    return TokenizedExample(
        sample_id=sample_id,
        input_ids=np.array([*shown, *suffix, 1], dtype=np.int64),
        is_suffix=np.arange(len(shown) + len(suffix) + 1) >= len(shown),
        num_image_tokens=4,
    )


def test_image_states_that_were_kept_give_the_same_loss(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    from dataclasses import replace

    from finetune.model.image_encoder import image_states

    train_only(model, Part.connector, Part.decoder)
    batch = batch_of(random_examples(3))
    states = image_states(model, batch.pixels)
    kept = replace(batch, image_states=states, pixels=batch.pixels[:0])
    loss, _ = loss_of(model, batch)
    wanted = gradients_of(model, loss)
    found, _ = loss_of(model, kept)
    assert found == loss
    assert_same(gradients_of(model, found), wanted, 0.0)


def test_the_head_and_the_end_of_the_last_layer_see_the_targets_rows_alone(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: dict[str, int] = {}
    batch = batch_of(random_examples(4))
    num_tokens, num_targets = batch.input_ids.numel(), len(batch.targets)
    last = language_model(model).layers[-1]
    for name in ("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj"):
        module = last.get_submodule(name)
        module.register_forward_hook(
            lambda module, inputs, output, name=name: rows.update({name: inputs[0].flatten(0, -2).shape[0]})
        )
    original = loss_module.linear_cross_entropy

    def noting(states: Tensor, *rest: Tensor, **how: float) -> tuple[Tensor, Tensor]:
        rows["head"] = len(states)
        return original(states, *rest, **how)

    monkeypatch.setattr(loss_module, "linear_cross_entropy", noting)
    loss_of(model, batch)
    assert rows["self_attn.k_proj"] == rows["self_attn.v_proj"] == num_tokens
    assert rows["self_attn.o_proj"] == rows["mlp.gate_proj"] == rows["head"] == num_targets
    assert rows["self_attn.q_proj"] == batch.layout.tail_rows.numel() < num_tokens


def test_no_tensor_holds_scores_of_all_positions_and_none_are_kept(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(5))
    num_tokens = batch.input_ids.numel()
    assert num_tokens > max(HIDDEN, len(batch.targets))
    with Shapes() as shapes, counting_saved_bytes(model):
        loss, _ = loss_of(model, batch)
        loss.backward()
    rows = [shape[:-1] for _, shape in shapes.seen if shape and shape[-1] in (VOCABULARY_SIZE, TABLE_ROWS)]
    assert rows
    assert max(torch.Size(row).numel() for row in rows) < num_tokens


def test_a_frozen_image_encoder_is_not_in_the_backward_pass_at_all(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(3))

    def num_products(*trained: Part) -> int:
        train_only(model, *trained)
        loss, _ = loss_of(model, batch)
        with Shapes() as shapes:
            loss.backward()
        products = ("aten::mm", "aten::bmm", "aten::addmm", "aten::convolution_backward")
        return sum(name in products and VISION_WIDTH in shape for name, shape in shapes.seen)

    assert num_products(Part.decoder) == 0
    # The connector's own weight.
    assert num_products(Part.decoder, Part.connector) == 1
    assert num_products(Part.decoder, Part.image_encoder) > 1


def test_training_makes_no_cache(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import cache_utils

    def refuse(*args: object, **settings: object) -> None:
        raise AssertionError("a cache was made in training")

    monkeypatch.setattr(cache_utils.Cache, "__init__", refuse)
    loss, _ = loss_of(model, batch_of(random_examples(3)))
    loss.backward()


def saved_bytes_of_a_layer(build: Callable[[], nn.Module], batch: Batch, *trained: Part) -> float:
    """Return what one whole decoder layer keeps, by token: two layers less one, because the last one is trimmed."""
    totals = []
    for num_layers in (1, 2):
        model = build()
        del language_model(model).layers[num_layers:]
        train_only(model, *trained)
        with counting_saved_bytes(model) as sizes:
            loss_of(model, batch)
        totals.append(sum(sizes.values()))
    return (totals[1] - totals[0]) / batch.input_ids.numel()


def test_a_layer_keeps_what_its_linears_and_attention_need_and_no_copy(
    small_paligemma: BuildModel, generation: int
) -> None:
    batch_examples = [example_of([7, 8], [9] * 5, f"s{number}") for number in range(3)]
    pixels = torch.zeros(3, 3, 28, 28, dtype=torch.uint8)
    batch = pack(batch_examples, pixels, image_token_id=IMAGE_TOKEN)
    assert batch.layout.arrangement is Arrangement.equal
    key_heads, num_norms = (1, 2) if generation == 1 else (2, 4)
    query, keys_and_values = HEADS * HEAD_DIM, 2 * key_heads * HEAD_DIM
    # What norms are given, with one factor a token; query, key, value, what was attended and its log-sums; gate and up.
    frozen = num_norms * (HIDDEN + 1) + 2 * query + keys_and_values + HEADS + 2 * MLP
    # Besides, what each linear is given: normalised states twice, attention's result joined, the activated MLP.
    trained = frozen + 2 * HIDDEN + query + MLP

    def kept(*parts: Part) -> float:
        return saved_bytes_of_a_layer(lambda: small_paligemma(generation), batch, *parts) / 4

    # The triangle under which tails attend, for all rows.
    triangle = batch.layout.tail_rows.shape[1] * batch.input_ids.shape[1] / batch.input_ids.numel()
    assert kept(Part.connector) <= frozen + triangle
    assert kept(Part.decoder, Part.connector) <= trained + triangle
