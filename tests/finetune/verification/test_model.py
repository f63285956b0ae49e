"""Pairs of other shapes than the oracles', made by an independent original; and pairs that were tampered with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.engine.optimizer import AdamW
from finetune.verification import optimizer_step
from finetune.verification.comparison import Comparison
from finetune.verification.model import compare_model

PAIRS = {
    "gemma 2": {},
    "gemma 1, one key head, smoothing": {"generation": 1, "heads": (4, 1, 16), "smoothing": 0.1},
    "as many key heads as heads": {"heads": (4, 4, 6), "vocabulary": 130},
    "depth 1, patch 5, names without params/": {"decoder": (32, 1, 50), "patch": 5, "tree": ""},
    "three images an example": {"frames": 3, "side": 2, "smoothing": 0.2, "texts": ((1, 6), (4, 1), (2, 2), (7, 3))},
    "one image token, head_dim over the width": {"side": 1, "heads": (2, 1, 64), "vision": (16, 2, 8, 1)},
    "one example, a suffix of EOS alone": {"texts": ((4, 0),)},
    "six layers each, two images": {
        "vision": (48, 6, 96, 4),
        "patch": 7,
        "side": 4,
        "decoder": (96, 6, 160),
        "heads": (8, 4, 16),
        "vocabulary": 1000,
        "frames": 2,
        "texts": ((20, 12), (6, 2)),
        "smoothing": 0.05,
    },
}


Change = Callable[[dict[str, np.ndarray]], None]


def compared(pair: tuple[Path, Path]) -> tuple[Comparison, ...]:
    checkpoint, expected = pair
    return compare_model(checkpoint, dict(np.load(expected)))


def outside(found: tuple[Comparison, ...]) -> set[str]:
    return {comparison.quantity for comparison in found if not comparison.is_within}


@pytest.mark.parametrize("changes", PAIRS.values(), ids=PAIRS.keys())
def test_every_shape_is_the_originals(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], changes: dict[str, object]
) -> None:
    found = compared(make_pair(shape(**changes)))
    assert not outside(found), [c for c in found if not c.is_within]
    assert {"image tokens", "logits", "loss", "per-example loss", "gradients", "greedy tokens", "second update"} <= {
        comparison.quantity for comparison in found
    }


@pytest.mark.parametrize(
    "without", [("mask_input",), ("mask_ar",), ("mask_loss", "mask_input"), ("label_smoothing",), ("image_tokens",)]
)
def test_what_can_be_derived_may_be_absent(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], without: tuple[str, ...]
) -> None:
    assert not outside(compared(make_pair(shape(), without=without)))


def test_without_gradients_the_rest_is_compared(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]
) -> None:
    found = compared(make_pair(shape(), without=("grad", "greedy_tokens", "loss")))
    quantities = [comparison.quantity for comparison in found]
    assert quantities == ["written back", "image tokens", "logits", "per-example loss"]


def rewritten(pair: tuple[Path, Path], which: int, change: Change) -> tuple[Path, Path]:
    arrays = dict(np.load(pair[which]))
    change(arrays)
    np.savez(pair[which], **arrays)
    return pair


KERNEL = "params/img/Transformer/encoderblock/MultiHeadDotProductAttention_0/{}/kernel"


def swap_query_and_key(arrays: dict[str, np.ndarray]) -> None:
    query, key = KERNEL.format("query"), KERNEL.format("key")
    arrays[query], arrays[key] = arrays[key], arrays[query]


def swap_gates(arrays: dict[str, np.ndarray]) -> None:
    arrays["params/llm/layers/mlp/gating_einsum"] = arrays["params/llm/layers/mlp/gating_einsum"][:, ::-1]


def transpose_connector(arrays: dict[str, np.ndarray]) -> None:
    arrays["params/img/head/kernel"] = arrays["params/img/head/kernel"].T


@pytest.mark.parametrize("change", [swap_query_and_key, swap_gates, transpose_connector])
def test_a_kernel_in_anothers_place_is_seen(
    make_pair: Callable[..., tuple[Path, Path]],
    shape: Callable[..., object],
    change: Change,
) -> None:
    square = shape(vision=(40, 1, 20, 4))
    assert not outside(compared(make_pair(square)))
    found = compared(rewritten(make_pair(square), 0, change))
    assert {"logits", "loss", "gradients", "second update"} <= outside(found)


def test_one_wrong_gradient_is_named(make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]) -> None:
    name = "grad/params/llm/layers/pre_ffw_norm/scale"

    def perturb(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name] * np.float32(1 + 3e-5)

    found = compared(rewritten(make_pair(shape()), 1, perturb))
    (gradients,) = [comparison for comparison in found if comparison.quantity == "gradients"]
    assert not gradients.is_within
    assert gradients.detail.endswith("worst: llm/layers/pre_ffw_norm/scale")
    assert gradients.found == pytest.approx(3e-5, rel=0.2)


@pytest.mark.parametrize("extra", ["grad/params/llm/nothing", None])
def test_a_gradient_too_many_or_too_few_is_named(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], extra: str | None
) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        if extra is None:
            del arrays["grad/params/img/head/bias"]
        else:
            arrays[extra] = np.zeros(3, dtype=np.float32)

    found = compared(rewritten(make_pair(shape()), 1, change))
    assert outside(found) == {"arrays with a gradient"}


def test_a_wrong_greedy_token_counts(make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["greedy_tokens"][1, 4] += 1

    found = compared(rewritten(make_pair(shape()), 1, change))
    assert outside(found) == {"greedy tokens"}


def test_inputs_of_another_model_are_refused(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]
) -> None:
    checkpoint, _ = make_pair(shape(vocabulary=150), seed=1)
    _, expected = make_pair(shape(), seed=2)
    with pytest.raises(ValueError, match="vocabulary of 150"):
        compared((checkpoint, expected))
    checkpoint, _ = make_pair(shape(side=2), seed=3)
    with pytest.raises(ValueError, match="images of 12 x 12 pixels; CHECKPOINT takes 8 x 8"):
        compared((checkpoint, expected))


@pytest.mark.parametrize(
    "changes",
    [{"weight_decay": 0.0}, {"decay_parts": ["image_encoder", "connector", "decoder"]}],
    ids=["no decay", "a decoder that decays"],
)
def test_another_decay_is_seen(
    make_pair: Callable[..., tuple[Path, Path]],
    shape: Callable[..., object],
    changes: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optimizer_step, "AdamW", lambda **settings: AdamW(**{**settings, **changes}))
    assert outside(compared(make_pair(shape()))) == {"second update"}
