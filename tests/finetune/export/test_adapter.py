"""An adapter's folder gives, with plain peft on the plain base, what the fine-tuned model gives here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from finetune.export.adapter import write_adapter
from finetune.export.model_card import RunFacts
from finetune.export.preprocessing import Preprocessing
from finetune.model.choices import LocalModel, TinyModel
from finetune.model.load import LoadedModel
from finetune.model.trained import trained_state
from finetune.peft.full import FullFineTuning
from finetune.peft.fused import unfuse_adapters
from finetune.peft.lora import Lora
from finetune.settings import DataSettings, PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 2}
RUN = RunFacts(name="run", recipe="r", dataset="d", settings="seed: 0", scores={}, step=1)
PREPROCESSING = Preprocessing.of_run(112, DataSettings())
METHODS = {
    "lora": Lora(rank=3, connector=True, image_encoder=True),
    "rslora": Lora(rank=3, use_rslora=True),
    "dora": Lora(rank=3, use_dora=True, image_encoder=True),
    "beside": Lora(rank=3, fully_trained=["connector"]),
    "beside-encoder": Lora(rank=3, fully_trained=["image_encoder", "connector"]),
}


@pytest.fixture(scope="module", params=[1, 2])
def base_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    loaded = TinyModel(generation=request.param, **SMALL).load()
    loaded.model.save_pretrained(folder)
    shutil.copyfile(loaded.processor_source / "tokenizer.json", folder / "tokenizer.json")
    shutil.copyfile(loaded.processor_source / "tokenizer_config.json", folder / "tokenizer_config.json")
    return folder


def _fine_tuned(method: Lora, base_folder: Path, dtype: Precision = Precision.fp32) -> LoadedModel:
    loaded = LocalModel(path=str(base_folder), dtype=dtype).load()
    method.apply(loaded.model, PartFlags(), Precision.fp32)
    generator = torch.Generator().manual_seed(1)
    for tensor in trained_state(loaded.model).values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    return loaded


def _inputs(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    ids = torch.tensor([[loaded.tokenizer.image_token_id] * 64 + [2, *loaded.tokenizer.encode("detect star"), 5]])
    return {
        "input_ids": ids,
        "token_type_ids": torch.zeros_like(ids),
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.linspace(-1, 1, 3 * 112 * 112).reshape(1, 3, 112, 112),
    }


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@torch.no_grad()
def test_plain_peft_on_the_plain_base_computes_the_same(tmp_path: Path, base_folder: Path, method: Lora) -> None:
    loaded = _fine_tuned(method, base_folder)
    inputs = _inputs(loaded)
    fused = loaded.model.eval()(**inputs).logits
    # peft adds in another order than our fused layers; in its own order not a digit may differ.
    unfuse_adapters(loaded.model)
    expected = loaded.model(**inputs).logits
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=1e-5)
    write_adapter(loaded, method, tmp_path, RUN, PREPROCESSING)
    plain = AutoModelForImageTextToText.from_pretrained(base_folder)
    before = plain(**inputs).logits
    adapted = PeftModel.from_pretrained(plain, tmp_path).eval()
    assert torch.equal(adapted(**inputs).logits, expected)
    assert (before - expected).abs().max() > 1e-2
    ours = loaded.model.generate(**inputs, max_new_tokens=6, do_sample=False)
    assert torch.equal(adapted.generate(**inputs, max_new_tokens=6, do_sample=False), ours)


def test_the_folder_holds_what_was_trained_and_the_processor(tmp_path: Path, base_folder: Path) -> None:
    loaded = _fine_tuned(METHODS["lora"], base_folder)
    write_adapter(loaded, METHODS["lora"], tmp_path, RUN, PREPROCESSING)
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(base_folder)
    assert (config["r"], config["peft_type"], config["inference_mode"]) == (3, "LORA", True)
    assert AutoProcessor.from_pretrained(tmp_path).image_token_id == loaded.tokenizer.image_token_id
    assert "PeftModel" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_base_without_a_name_is_named_by_its_place_from_anywhere(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded, base = _fine_tuned(METHODS["lora"], base_folder), Path("base")
    write_adapter(loaded, METHODS["lora"], tmp_path / "adapter", RUN, PREPROCESSING, base_folder=base)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    assert "path/to/this/folder/../base" in (tmp_path / "adapter" / "README.md").read_text(encoding="utf-8")


def test_the_commit_of_the_base_is_recorded(tmp_path: Path, base_folder: Path) -> None:
    loaded = replace(_fine_tuned(METHODS["lora"], base_folder), base_name="google/x", base_revision="0" * 40)
    write_adapter(loaded, METHODS["lora"], tmp_path, RUN, PREPROCESSING)
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["base_model_name_or_path"], config["revision"]) == ("google/x", "0" * 40)


def test_what_an_adapter_cannot_carry_is_refused(tmp_path: Path, base_folder: Path) -> None:
    resized = LocalModel(path=str(base_folder), image_size=56).load()
    same = LocalModel(path=str(base_folder)).load()
    cases = [
        (same, FullFineTuning(), "needs a run with peft=lora; use format=merged"),
        (same, Lora(fully_trained=["embeddings"]), r"cannot carry peft\.fully_trained=embeddings; use format=merged"),
        (resized, Lora(), r"cannot carry the position embedding that model\.image_size=56 resized"),
    ]
    for loaded, method, message in cases:
        with pytest.raises(ValueError, match=message):
            write_adapter(loaded, method, tmp_path / "adapter", RUN, PREPROCESSING)
    assert not (tmp_path / "adapter").exists()
