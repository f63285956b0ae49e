"""QLoRA: adapters over a decoder in NF4, fused as over any other, and folded into what they were trained for."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from finetune.export.adapter import write_adapter
from finetune.export.merged import merged_model, merged_state
from finetune.export.model_card import RunFacts
from finetune.export.npz import original_arrays
from finetune.export.preprocessing import Preprocessing
from finetune.model.choices import TinyModel
from finetune.model.load import LoadedModel
from finetune.model.nf4 import nf4_notes
from finetune.model.trained import load_trained_state, trained_state
from finetune.peft.fused import unfuse_adapters
from finetune.peft.lora import Lora, Quantization
from finetune.settings import DataSettings, PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 2}
QLORA = Lora(rank=4, alpha=3, quantization=Quantization.nf4_double)
RUN = RunFacts(name="run", recipe="r", dataset="d", settings="seed: 0", scores={}, step=1)

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="the extra `bnb` is not installed"
)


def fine_tuned(method: Lora = QLORA, dtype: Precision = Precision.fp32) -> LoadedModel:
    """Stand in for training: move everything that trains."""
    loaded = TinyModel(dtype=dtype, **SMALL).load()
    torch.manual_seed(0)
    method.apply(loaded.model, PartFlags(), Precision.fp32)
    generator = torch.Generator().manual_seed(1)
    for tensor in trained_state(loaded.model).values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    return replace(loaded, notes=(*loaded.notes, *nf4_notes(loaded.model)))


def logits(model: nn.Module) -> Tensor:
    ids = torch.arange(5, 29)[None]
    result: Tensor = model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits
    return result


def outputs_and_gradients(model: nn.Module, *, autocast: bool) -> list[Tensor]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = logits(model)
    return [output.detach().float(), *torch.autograd.grad(output.float().square().mean(), trained)]


def deviation(left: list[Tensor], right: list[Tensor]) -> float:
    """Return the mean over tensors of how far one is from the other, as a share of it."""
    shares = [float((one - other).norm() / other.norm()) for one, other in zip(left, right, strict=True)]
    return sum(shares) / len(shares)


@needs_bitsandbytes
def test_fused_layers_over_nf4_compute_what_pefts_own_do() -> None:
    model = fine_tuned().model
    fused, fused_bf16 = (outputs_and_gradients(model, autocast=autocast) for autocast in (False, True))
    unfuse_adapters(model)
    of_peft, of_peft_bf16 = (outputs_and_gradients(model, autocast=autocast) for autocast in (False, True))
    assert deviation(fused, of_peft) < 1e-5
    # In bf16, as near to what float32 gives.
    assert deviation(fused_bf16, of_peft) < 1.1 * deviation(of_peft_bf16, of_peft) < 0.1


@needs_bitsandbytes
def test_only_adapters_train_and_they_are_named_as_over_a_plain_base() -> None:
    quantized, plain = fine_tuned().model, fine_tuned(replace(QLORA, quantization=Quantization.none)).model
    names = {name: tensor.shape for name, tensor in trained_state(plain).items()}
    assert {name: tensor.shape for name, tensor in trained_state(quantized).items()} == names
    of_peft = (get_peft_model_state_dict(model, save_embedding_layers=False) for model in (quantized, plain))
    assert len({tuple(state) for state in of_peft}) == 1


@needs_bitsandbytes
def test_quantising_again_gives_the_same_numbers_and_a_checkpoint_the_same_model() -> None:
    first, second = fine_tuned().model, TinyModel(**SMALL).load().model
    QLORA.apply(second, PartFlags(), Precision.fp32)
    load_trained_state(second, trained_state(first))
    with torch.no_grad():
        assert torch.equal(logits(first), logits(second))


@needs_bitsandbytes
@pytest.mark.parametrize("targets", [{}, {"decoder_mlp": False}], ids=["everywhere", "attention"])
def test_a_merged_export_computes_what_was_trained(targets: dict[str, bool]) -> None:
    loaded = fine_tuned(replace(QLORA, **targets))
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    plain = TinyModel(**SMALL).load().model
    with torch.no_grad():
        base = logits(plain)
        plain.load_state_dict(merged_state(loaded.model))
        torch.testing.assert_close(logits(plain), logits(loaded.model), rtol=0, atol=2e-5)
        assert not torch.allclose(base, logits(plain), rtol=0, atol=1e-2)
    after = loaded.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@needs_bitsandbytes
def test_the_originals_format_holds_the_merged_weights() -> None:
    loaded = fine_tuned()
    folded = replace(loaded, model=merged_model(loaded))
    for own, expected in zip(original_arrays(loaded), original_arrays(folded), strict=True):
        blocks = zip(own.blocks, expected.blocks, strict=True)
        assert (own.name, own.shape) == (expected.name, expected.shape)
        assert all((one == other).all() for one, other in blocks)


@needs_bitsandbytes
def test_an_adapter_is_an_ordinary_one_and_its_card_says_what_it_was_trained_over(tmp_path: Path) -> None:
    loaded = fine_tuned()
    write_adapter(loaded, QLORA, tmp_path, RUN, Preprocessing.of_run(112, DataSettings()), base_folder=tmp_path.parent)
    assert len(load_file(tmp_path / "adapter_model.safetensors")) == 2 * 2 * 7
    assert "14 linear layers of the decoder in NF4" in (tmp_path / "README.md").read_text()


def test_without_bitsandbytes_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"peft\.quantization=nf4_double needs bitsandbytes.*\[bnb\].*peft=lora"):
        QLORA.check(PartFlags())
    Lora().check(PartFlags())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, r"peft\.quantization=nf4 and peft\.use_dora=true are not combined"),
        (
            {"fully_trained": ["decoder"], "decoder_attention": False, "decoder_mlp": False, "connector": True},
            r"peft\.quantization=nf4 freezes the decoder's linear layers, and peft\.fully_trained=decoder",
        ),
    ],
)
def test_what_a_quantised_decoder_cannot_have_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lora(quantization=Quantization.nf4, **settings)
