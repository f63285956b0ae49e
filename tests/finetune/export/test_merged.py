"""A merged folder computes in plain transformers what the fine-tuned model computes here."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from finetune.export.merged import merged_model, merged_state, write_merged
from finetune.export.model_card import RunFacts
from finetune.export.preprocessing import Preprocessing
from finetune.model.choices import LocalModel, TinyModel
from finetune.model.load import LoadedModel
from finetune.model.trained import trained_state
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import DataSettings, PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 2}
RUN = RunFacts(name="run", recipe="r", dataset="d", settings="seed: 0", scores={}, step=1)
EVERYWHERE = {"connector": True, "image_encoder": True}
METHODS = {
    "lora": Lora(rank=3, **EVERYWHERE),
    "rslora": Lora(rank=3, use_rslora=True, dropout=0.5),
    "dora": Lora(rank=3, use_dora=True, **EVERYWHERE),
    "beside": Lora(rank=3, fully_trained=["connector", "embeddings", "image_encoder"]),
    "full": FullFineTuning(),
}


def _fine_tuned(method: Lora | FullFineTuning, generation: int, dtype: Precision = Precision.fp32) -> LoadedModel:
    """Stand in for training: move everything that trains."""
    loaded = TinyModel(generation=generation, dtype=dtype, **SMALL).load()
    method.apply(loaded.model, PartFlags(), Precision.fp32)
    generator = torch.Generator().manual_seed(1)
    for tensor in trained_state(loaded.model).values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    return loaded


def _logits(model: torch.nn.Module, loaded: LoadedModel) -> torch.Tensor:
    ids = torch.tensor([[loaded.tokenizer.image_token_id] * 64 + [2, *loaded.tokenizer.encode("detect star"), 5]])
    pixels = torch.linspace(-1, 1, 3 * 112 * 112).reshape(1, 3, 112, 112).to(model.dtype)
    model.eval()
    with torch.no_grad():
        logits: torch.Tensor = model(
            input_ids=ids,
            pixel_values=pixels,
            token_type_ids=torch.zeros_like(ids),
            attention_mask=torch.ones_like(ids),
        ).logits
    return logits


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_plain_transformers_computes_the_same(tmp_path: Path, method: Lora | FullFineTuning, generation: int) -> None:
    loaded = _fine_tuned(method, generation)
    expected = _logits(loaded.model, loaded)
    base = _logits(TinyModel(generation=generation, **SMALL).load().model, loaded)
    write_merged(loaded, tmp_path, RUN, Preprocessing.of_run(112, DataSettings()))
    plain, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(_logits(plain, loaded), expected, rtol=0, atol=2e-5)
    assert (base - expected).abs().max() > 1e-2


@pytest.mark.parametrize("method", [METHODS["lora"], METHODS["dora"]], ids=["lora", "dora"])
def test_exporting_leaves_the_model_in_memory_as_it_was(method: Lora) -> None:
    loaded = _fine_tuned(method, 2)
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    logits = _logits(loaded.model, loaded)
    merged_state(loaded.model)
    after = loaded.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(_logits(loaded.model, loaded), logits)


def test_weights_are_merged_in_float32_where_the_frozen_ones_are_narrow() -> None:
    loaded = _fine_tuned(METHODS["lora"], 2, dtype=Precision.bf16)
    layer = loaded.model.model.language_model.layers[0].self_attn.q_proj
    expected = layer.base_layer.weight.float() + layer.get_delta_weight("default").float()
    merged = merged_model(loaded)
    assert {parameter.dtype for parameter in merged.parameters()} == {torch.float32}
    torch.testing.assert_close(merged.model.language_model.layers[0].self_attn.q_proj.weight, expected)


def test_the_merged_head_is_tied_and_written_once(tmp_path: Path) -> None:
    loaded = _fine_tuned(METHODS["full"], 2)
    merged = merged_model(loaded)
    assert merged.lm_head.weight is merged.get_input_embeddings().weight
    write_merged(loaded, tmp_path, RUN, Preprocessing.of_run(112, DataSettings()))
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "lm_head" in name]


def test_plain_generation_stops_at_eos_and_never_says_what_is_no_vocabulary(tmp_path: Path) -> None:
    loaded = _fine_tuned(METHODS["lora"], 2)
    write_merged(loaded, tmp_path, RUN, Preprocessing.of_run(112, DataSettings()))
    settings = json.loads((tmp_path / "generation_config.json").read_text(encoding="utf-8"))
    assert (settings["bos_token_id"], settings["eos_token_id"], settings["pad_token_id"]) == (2, 1, 0)
    num_rows = loaded.model.config.text_config.vocab_size
    assert settings["suppress_tokens"] == list(range(loaded.tokenizer.image_token_id, num_rows))
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path)
    # A table in which the rows beyond the vocabulary would win every time.
    with torch.no_grad():
        plain.get_input_embeddings().weight[loaded.tokenizer.vocabulary_size :] *= 1000
    processor = AutoProcessor.from_pretrained(tmp_path)
    image = torch.zeros(3, 112, 112, dtype=torch.uint8).numpy()
    inputs = processor(images=image, text="<image>caption en", return_tensors="pt")
    inputs.pop("labels", None)
    ids = plain.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert ids.max() < loaded.tokenizer.vocabulary_size


def test_a_merged_folder_is_a_checkpoint_to_start_from(tmp_path: Path) -> None:
    loaded = _fine_tuned(METHODS["lora"], 1)
    write_merged(loaded, tmp_path, RUN, Preprocessing.of_run(112, DataSettings()))
    again = LocalModel(path=str(tmp_path)).load()
    torch.testing.assert_close(_logits(again.model, loaded), _logits(loaded.model, loaded), rtol=0, atol=2e-5)
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("---")
