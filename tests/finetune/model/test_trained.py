"""Saving and restoring what training changes."""

import pytest
import torch

from finetune.model.choices import TinyModel
from finetune.model.load import LoadedModel
from finetune.model.trained import load_trained_state, trained_state
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 1}
METHODS = [Lora(rank=2, connector=True), Lora(rank=2, use_dora=True, fully_trained=["connector"]), FullFineTuning()]


def _ready(method: Lora | FullFineTuning, dtype: Precision = Precision.fp32) -> LoadedModel:
    loaded = TinyModel(**SMALL).load()
    method.apply(loaded.model, PartFlags(), dtype)
    return loaded


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_state_is_restored_bit_for_bit(method: Lora | FullFineTuning) -> None:
    source, target = _ready(method), _ready(method)
    generator = torch.Generator().manual_seed(0)
    for tensor in trained_state(source.model).values():
        tensor.add_(torch.randn(tensor.shape, generator=generator))
    state = {name: tensor.clone() for name, tensor in trained_state(source.model).items()}
    load_trained_state(target.model, state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in trained_state(target.model).items())
    assert target.model.lm_head.weight is target.model.get_input_embeddings().weight


def test_a_lora_state_holds_adapters_alone() -> None:
    assert all("lora_" in name for name in trained_state(_ready(METHODS[0]).model))


def test_a_state_of_other_settings_is_refused_and_changes_nothing() -> None:
    loaded = _ready(METHODS[0])
    before = {name: tensor.clone() for name, tensor in trained_state(loaded.model).items()}
    name = min(before)
    cases = [
        ({key: value for key, value in before.items() if key != name}, f"1 tensors are missing .*{name}"),
        ({**before, "extra": torch.zeros(1)}, "1 tensors do not train here, extra among them"),
        ({**before, name: torch.ones(1, 1)}, r"is float32 \(1, 1\), this run trains float32"),
        ({key: torch.ones_like(value).double() for key, value in before.items()}, "is float64 .*trains float32"),
    ]
    for state, message in cases:
        with pytest.raises(ValueError, match=message):
            load_trained_state(loaded.model, state)
    assert all(torch.equal(tensor, before[key]) for key, tensor in trained_state(loaded.model).items())
