"""What was read is written back bit by bit, in every format, and a model that differs is seen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from finetune.model.npz import load_npz
from finetune.model.npz_checkpoint import NpzCheckpoint, inspect_npz
from finetune.settings import Precision
from finetune.verification.written_back import compare_written

FORMATS = {"fp32": "<f4", "fp16": "<f2", "bf16": "V2"}


@pytest.fixture
def checkpoint_in(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]
) -> Callable[[str], NpzCheckpoint]:
    """Store a small checkpoint in another format."""

    def store(form: str) -> NpzCheckpoint:
        path, _ = make_pair(shape())
        arrays = dict(np.load(path))
        if form == "bf16":
            stored = {name: (array.view("<u4") >> 16).astype("<u2").view("V2") for name, array in arrays.items()}
        else:
            stored = {name: array.astype(FORMATS[form]) for name, array in arrays.items()}
        np.savez(path, **stored)
        return inspect_npz(path, setting="CHECKPOINT")

    return store


@pytest.mark.parametrize("form", FORMATS)
def test_every_bit_comes_back_out_of_a_model_in_fp32(checkpoint_in: Callable[[str], NpzCheckpoint], form: str) -> None:
    checkpoint = checkpoint_in(form)
    model, _ = load_npz(checkpoint, Precision.fp32)
    found = compare_written(model, checkpoint)
    assert found.found == 0
    assert found.detail == f"all {len(checkpoint.formats)} arrays, bit by bit, in {form}"


def test_a_changed_weight_and_a_bit_that_fewer_bits_lose_are_counted(
    checkpoint_in: Callable[[str], NpzCheckpoint],
) -> None:
    checkpoint = checkpoint_in("fp32")
    model, _ = load_npz(checkpoint, Precision.fp32)
    with torch.no_grad():
        model.model.multi_modal_projector.linear.bias[3:5] *= -1
    found = compare_written(model, checkpoint)
    assert (found.found, found.is_within) == (2, False)
    assert found.detail == "first: img/head/bias"
    narrow, _ = load_npz(checkpoint, Precision.bf16)
    assert not compare_written(narrow, checkpoint).is_within
