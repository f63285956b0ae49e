"""From the original's file to a model and back, without a bit lost and without the file in memory."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from finetune.model.choices import TINY_TOKENIZER, NpzModel
from finetune.model.npz import array_blocks, load_npz, parameters_by_name
from finetune.model.npz_checkpoint import inspect_npz
from finetune.model.npz_dimensions import Dimensions
from finetune.model.npz_layout import EMBEDDING, array_rules
from finetune.settings import Precision

SHAPES = {
    "paligemma 2": {},
    "paligemma 1, one key head": {"generation": 1, "decoder_key_heads": 1},
    "as many key heads as heads": {"decoder_key_heads": 4, "is_attention_fused": True},
    "depth 1": {"vision_depth": 1, "decoder_depth": 1, "vision_heads": 1},
}


def original_bytes(model: nn.Module, dimensions: Dimensions) -> dict[str, bytes]:
    parameters = parameters_by_name(model)
    return {
        rule.array: b"".join(block.tobytes() for block in array_blocks(rule, parameters.__getitem__))
        for rule in array_rules(dimensions)
    }


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("dtype", list(Precision))
def test_a_model_gives_back_every_bit(
    write_checkpoint: Callable[..., Path], dimensions: Dimensions, dtype: Precision, changes: dict[str, int]
) -> None:
    path = write_checkpoint(dtype=dtype, **changes)
    model, _ = load_npz(inspect_npz(path, setting="model.path"), dtype)
    found = original_bytes(model, replace(dimensions, **changes))
    assert found == {name.removeprefix("params/"): array.tobytes() for name, array in np.load(path).items()}


@pytest.mark.parametrize("dtype", list(Precision))
def test_the_rows_that_the_original_does_not_have_hold_the_mean(
    write_checkpoint: Callable[..., Path], dimensions: Dimensions, dtype: Precision
) -> None:
    model, notes = load_npz(inspect_npz(write_checkpoint(), setting="model.path"), dtype)
    size, table = dimensions.vocabulary_size, model.get_input_embeddings().weight
    further = table[size:]
    assert len(table) == dimensions.num_rows
    assert len(further) > 0
    assert len(table) % 64 == 0
    mean = table[:size].double().mean(dim=0).to(further.dtype)
    torch.testing.assert_close(further, mean.expand_as(further))
    assert any(f"{size} rows, and {len(further)} more" in note for note in notes)
    assert model.lm_head.weight is table


def test_weights_are_read_into_the_format_that_is_asked_for(write_checkpoint: Callable[..., Path]) -> None:
    checkpoint = inspect_npz(write_checkpoint(dtype=Precision.bf16), setting="model.path")
    wide, _ = load_npz(checkpoint, Precision.fp32)
    narrow, _ = load_npz(checkpoint, Precision.bf16)
    assert {parameter.dtype for parameter in wide.parameters()} == {torch.float32}
    for name, parameter in wide.named_parameters():
        if "embed_tokens" not in name:
            assert torch.equal(parameter, narrow.get_parameter(name).float())


def test_what_is_in_force_is_the_originals(write_checkpoint: Callable[..., Path]) -> None:
    loaded = NpzModel(path=str(write_checkpoint())).load()
    decoder = loaded.model.config.text_config
    assert decoder.attn_logit_softcapping == 50
    assert decoder.query_pre_attn_scalar == 10
    assert decoder.final_logit_softcapping is None
    assert set(decoder.layer_types) == {"full_attention"}
    assert loaded.model.model.language_model.layers[0].self_attn.scaling == pytest.approx(10**-0.5)


def test_a_checkpoint_is_a_model_to_start_from(write_checkpoint: Callable[..., Path]) -> None:
    choice = NpzModel(path=str(write_checkpoint()))
    choice.check()
    loaded = choice.load()
    assert (loaded.image_size, loaded.num_image_tokens, loaded.generation) == (56, 16, 2)
    assert choice.read_inputs().num_image_tokens == 16
    assert loaded.base_name == choice.path
    assert loaded.processor_source == TINY_TOKENIZER
    assert loaded.tokenizer.image_token_id == loaded.model.config.image_token_id
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_another_resolution_resizes_the_position_embedding(write_checkpoint: Callable[..., Path]) -> None:
    choice = NpzModel(path=str(write_checkpoint()), image_size=112)
    loaded = choice.load()
    assert loaded.model.model.vision_tower.embeddings.position_embedding.weight.shape[0] == 64
    assert (loaded.image_size, loaded.base_image_size, loaded.num_image_tokens) == (112, 56, 64)
    assert choice.read_inputs().num_image_tokens == 64
    assert any("4x4 -> 8x8" in note for note in loaded.notes)
    with pytest.raises(ValueError, match=r"model\.image_size must be a multiple of the patch size 14"):
        NpzModel(path=choice.path, image_size=100).check()


def test_checking_a_file_does_not_import_torch(write_checkpoint: Callable[..., Path], repository: Path) -> None:
    code = (
        "import sys; from finetune.model.choices import NpzModel; model = NpzModel(path=sys.argv[1]); model.check(); "
        "model.read_inputs(); sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    command = [sys.executable, "-c", code, str(write_checkpoint())]
    assert subprocess.run(command, cwd=repository, check=False).returncode == 0


MEASURE = """
import resource, sys
from pathlib import Path
import torch
from finetune.model.npz import load_npz
from finetune.model.npz_checkpoint import inspect_npz
from finetune.settings import Precision

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small, large = (inspect_npz(Path(path), setting="model.path") for path in sys.argv[1:])
load_npz(small, Precision.fp32)
before = peak()
model, _ = load_npz(large, Precision.fp32)
print(peak() - before, sum(p.numel() * p.element_size() for p in model.parameters()))
"""


def test_loading_needs_the_model_and_little_more(write_checkpoint: Callable[..., Path], repository: Path) -> None:
    small = write_checkpoint(name="small.npz")
    large = write_checkpoint(name="large.npz", decoder_width=256, decoder_mlp=1536, decoder_depth=16)
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    grown, model = map(int, subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout.split())
    # One array of it, the gates of all layers, is 50 MB; one layer of that is 3 MB.
    assert large.stat().st_size > 75e6
    assert grown < model + 20e6


def test_the_table_is_read_in_parts(write_checkpoint: Callable[..., Path], dimensions: Dimensions) -> None:
    file = inspect_npz(write_checkpoint(), setting="model.path").file
    assert [len(block) for block in file.blocks(EMBEDDING, 1000)][:2] == [1000, 1000]
