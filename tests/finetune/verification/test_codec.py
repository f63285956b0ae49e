"""A mask codec against the original's numbers, and against numbers that are wrong on purpose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from finetune.tokens.mask_codec_file import codec_shapes, read_weights
from finetune.tokens.segmentation import choose_codec
from finetune.verification.codec import compare_codec, is_codec

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def checkpoint(oracles: Path) -> Path:
    return oracles / "mask_vqvae_random.checkpoint.npz"


@pytest.fixture(scope="module")
def expected(oracles: Path) -> Arrays:
    return dict(np.load(oracles / "mask_vqvae_random.expected.npz"))


def _outside(checkpoint: Path, expected: Arrays) -> list[str]:
    return [one.quantity for one in compare_codec(checkpoint, expected) if not one.is_within]


def _codes_alone(expected: Arrays) -> Arrays:
    return {name: expected[name] for name in ("masks64", "codes_of_masks64")}


def test_a_codec_is_recognised_by_its_names() -> None:
    assert is_codec([name for name, _ in codec_shapes()])
    assert not is_codec(["params/img/embedding/kernel"])


def test_every_number_of_the_original_is_met(checkpoint: Path, expected: Arrays) -> None:
    found = {one.quantity: one for one in compare_codec(checkpoint, expected)}
    assert list(found) == [
        "codes of 64 x 64 masks",
        "decoded masks",
        "suffixes of full-size masks",
        "IoU of each expression",
        "invalid expressions",
        "boxes at IoU 0.5",
        "boxes at IoU 0.75",
        "mean IoU",
    ]
    assert all(one.is_within for one in found.values())
    assert found["decoded masks"].found < 1e-4


def test_one_code_more_or_less_is_seen(checkpoint: Path, expected: Arrays) -> None:
    codes = expected["codes_of_masks64"].copy()
    codes[3, 5] ^= 1
    changed = _codes_alone(expected) | {"codes_of_masks64": codes}
    assert _outside(checkpoint, changed) == ["codes of 64 x 64 masks"]


def test_two_exchanged_kernels_are_seen(checkpoint: Path, expected: Arrays, tmp_path: Path) -> None:
    weights = dict(read_weights(checkpoint))
    first, second = "decoder.2.net.0.weight", "decoder.3.net.0.weight"
    weights[first], weights[second] = weights[second], weights[first]
    np.savez(tmp_path / "exchanged.npz", **weights)
    outside = _outside(tmp_path / "exchanged.npz", expected)
    assert "decoded masks" in outside
    assert "IoU of each expression" in outside
    assert "codes of 64 x 64 masks" not in outside


def test_a_kernel_with_rows_for_columns_is_seen(checkpoint: Path, expected: Arrays, tmp_path: Path) -> None:
    weights = dict(read_weights(checkpoint))
    weights["encoder.0.weight"] = np.ascontiguousarray(weights["encoder.0.weight"].swapaxes(2, 3))
    save_file(weights, tmp_path / "turned.safetensors")
    assert _outside(tmp_path / "turned.safetensors", _codes_alone(expected)) == ["codes of 64 x 64 masks"]


def test_another_number_of_cases_is_compared_as_well(checkpoint: Path, expected: Arrays) -> None:
    few = {
        name: value for name, value in expected.items() if not name.startswith("full_mask_") or name < "full_mask_05"
    }
    chosen = few["eval_case"] < 5
    few |= {name: few[name][:5] for name in ("boxes_yxyx", "suffixes")}
    few |= {name: few[name][:7] for name in ("masks64", "codes_of_masks64", "codes", "decoded")}
    names = ("eval_case", "eval_pred_tokens", "eval_iou", "eval_invalid", "eval_box50", "eval_box75")
    few |= {name: few[name][chosen] for name in names}
    few["eval_miou"] = np.array(few["eval_iou"].mean())
    assert _outside(checkpoint, few) == []


def test_a_missing_array_is_named(checkpoint: Path, expected: Arrays) -> None:
    with pytest.raises(ValueError, match="holds no array codes_of_masks64"):
        compare_codec(checkpoint, {"masks64": expected["masks64"]})
    with pytest.raises(ValueError, match="holds none of masks64, codes, suffixes"):
        compare_codec(checkpoint, {"logits": np.zeros(3)})
    with pytest.raises(ValueError, match="eval_case must name full masks 0 to 11"):
        compare_codec(checkpoint, {**expected, "eval_case": expected["eval_case"] + 40})


def _cut(name: str, *part: slice) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name: arrays[name][part]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _cut("masks64", slice(None), slice(32)),
            r"masks64 must be numbers of the shape \[masks, 64, 64\], got \[24, 32",
        ),
        (
            _cut("codes_of_masks64", slice(7)),
            r"codes_of_masks64 must be numbers of the shape \[24, 16\], got \[7, 16\]",
        ),
        (_cut("decoded", slice(7)), r"decoded must be numbers of the shape \[24, 64, 64\], got \[7"),
        (lambda arrays: {"codes": arrays["codes"] + 128}, "codes must lie in 0 to 127, got 1"),
        (_cut("boxes_yxyx", slice(11)), r"boxes_yxyx must be numbers of the shape \[12, 4\], got \[11, 4\]"),
        (
            _cut("boxes_yxyx", slice(None), slice(None, None, -1)),
            "boxes_yxyx must be top, left, bottom, right .* box 0",
        ),
        (_cut("suffixes", slice(5)), r"suffixes must be texts of the shape \[12\], got \[5\]"),
        (lambda arrays: {"suffixes": np.zeros(12)}, "suffixes must be texts of the shape .* of float64"),
        (
            _cut("eval_pred_tokens", slice(5)),
            r"eval_pred_tokens must be numbers of the shape \[40, tokens\], got \[5, 22",
        ),
        (_cut("eval_iou", slice(5)), r"eval_iou must be numbers of the shape \[40\], got \[5\]"),
        (
            lambda arrays: {"full_mask_03": np.zeros((2, 3, 4))},
            r"full_mask_03 must be .* \[height, width\], got \[2, 3, 4",
        ),
        (lambda arrays: {"loc0": np.zeros(2)}, r"loc0 must be numbers of the shape \[\], got \[2\]"),
    ],
)
def test_an_array_of_another_shape_is_named(
    checkpoint: Path, expected: Arrays, change: Callable[[Arrays], Arrays], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^EXPECTED: {message}"):
        compare_codec(checkpoint, expected | change(expected))


def test_the_embedded_codec_is_not_the_original(expected: Arrays) -> None:
    assert _outside(choose_codec("embedded").path, _codes_alone(expected)) == ["codes of 64 x 64 masks"]
