"""Random checkpoints in the original's layout."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.model.choices import TINY_TOKENIZER
from finetune.model.npz_dimensions import Dimensions
from finetune.model.npz_file import ArrayToWrite, write_npz
from finetune.model.npz_layout import array_rules
from finetune.settings import Precision
from finetune.tokens.tokenizer import Tokenizer

ITEM_TYPES = {Precision.fp32: "<f4", Precision.fp16: "<f2", Precision.bf16: "<u2"}


@pytest.fixture(scope="session")
def dimensions() -> Dimensions:
    """A PaliGemma 2 of no round numbers, with as many ids as the embedded tokenizer."""
    return Dimensions(
        patch_size=14,
        num_image_tokens=16,
        vision_width=24,
        vision_depth=2,
        vision_mlp=20,
        vision_heads=3,
        vocabulary_size=Tokenizer.from_folder(TINY_TOKENIZER).vocabulary_size,
        decoder_width=32,
        decoder_depth=3,
        decoder_mlp=36,
        decoder_heads=4,
        decoder_key_heads=2,
        head_dim=10,
        generation=2,
        is_attention_fused=False,
    )


@pytest.fixture
def write_checkpoint(tmp_path: Path, dimensions: Dimensions) -> Callable[..., Path]:
    """Write random arrays for `dimensions`, changed as the keywords say; return the file."""

    def write(
        *, dtype: Precision = Precision.fp32, tree: str = "params/", name: str = "x.npz", **changes: object
    ) -> Path:
        rng = np.random.default_rng(0)
        arrays = [
            ArrayToWrite(
                name=tree + rule.array,
                shape=rule.shape,
                dtype=dtype,
                blocks=[_values(rng, rule.shape, dtype)],
            )
            for rule in array_rules(replace(dimensions, **changes))
        ]
        write_npz(tmp_path / name, arrays)
        return tmp_path / name

    return write


def _values(rng: np.random.Generator, shape: tuple[int, ...], dtype: Precision) -> np.ndarray:
    values = rng.standard_normal(shape, dtype=np.float32)
    # The upper half of a float32 is a bfloat16.
    return (values.view("<u4") >> 16).astype("<u2") if dtype is Precision.bf16 else values.astype(ITEM_TYPES[dtype])
