"""The original's checkpoint out of ours: from runs, from Hugging Face folders, and back, bit for bit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune.export.merged import merged_model, write_merged
from finetune.export.model_card import RunFacts
from finetune.export.npz import FILE_NAME, write_npz_folder
from finetune.export.preprocessing import Preprocessing, read_preprocessing
from finetune.model.choices import LocalModel, NpzModel, TinyModel
from finetune.model.load import LoadedModel
from finetune.model.npz import parameters_by_name
from finetune.model.trained import trained_state
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import DataSettings, PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 2, "image_size": 56}
RUN = RunFacts(name="run", recipe="r", dataset="d", settings="seed: 0", scores={}, step=1)
PREPROCESSING = Preprocessing.of_run(56, DataSettings())


def small(generation: int = 2, dtype: Precision = Precision.fp32) -> LoadedModel:
    """Return a small model whose every weight is its own."""
    loaded = TinyModel(generation=generation, dtype=dtype, **SMALL).load()
    generator = torch.Generator().manual_seed(0)
    for parameter in loaded.model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return loaded


def written(loaded: LoadedModel, folder: Path) -> Path:
    write_npz_folder(loaded, folder, RUN, PREPROCESSING)
    return folder / FILE_NAME


def config_of(folder: Path) -> dict[str, object]:
    """Return config.json without the formats of its sections, which transformers notes only where it read a file."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for section in ("text_config", "vision_config"):
        config[section].pop("dtype", None)
    return config


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("dtype", list(Precision))
def test_npz_to_ours_to_npz_is_the_same_file(tmp_path: Path, dtype: Precision, generation: int) -> None:
    first = written(small(generation, dtype), tmp_path / "first")
    second = written(NpzModel(path=str(first), dtype=dtype).load(), tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()
    item_types = {array.dtype.str for array in np.load(first).values()}
    assert item_types == {{Precision.fp32: "<f4", Precision.fp16: "<f2", Precision.bf16: "|V2"}[dtype]}
    assert all(name.startswith("params/") for name in np.load(first))


@pytest.mark.parametrize("dtype", list(Precision))
def test_a_folder_of_hugging_face_comes_back_the_same(tmp_path: Path, dtype: Precision) -> None:
    loaded = small(dtype=dtype)
    write_merged(loaded, tmp_path / "hf", RUN, PREPROCESSING)
    npz = written(LocalModel(path=str(tmp_path / "hf"), dtype=dtype).load(), tmp_path / "npz")
    write_merged(NpzModel(path=str(npz), dtype=dtype).load(), tmp_path / "again", RUN, PREPROCESSING)
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("hf", "again"))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        # The rows after the vocabulary are not the original's: they come back as the table's mean.
        rows = loaded.tokenizer.vocabulary_size if "embed_tokens" in name else None
        assert tensor.shape == after[name].shape
        assert tensor.dtype == after[name].dtype
        assert torch.equal(tensor[:rows], after[name][:rows]), name
    assert config_of(tmp_path / "hf") == config_of(tmp_path / "again")


@pytest.mark.parametrize("method", [Lora(rank=3, image_encoder=True, connector=True), Lora(use_dora=True)])
def test_adapters_are_folded_in_as_a_merged_folder_has_them(tmp_path: Path, method: Lora) -> None:
    loaded = small()
    method.apply(loaded.model, PartFlags(), Precision.fp32)
    generator = torch.Generator().manual_seed(1)
    for tensor in trained_state(loaded.model).values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    expected = parameters_by_name(merged_model(loaded))
    found = parameters_by_name(NpzModel(path=str(written(loaded, tmp_path / "npz"))).load().model)
    rows = loaded.tokenizer.vocabulary_size
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name][:rows], expected[name][:rows]) for name in expected)
    after = loaded.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_of_two_formats_are_written_in_the_wider_one(tmp_path: Path) -> None:
    loaded = small(dtype=Precision.bf16)
    FullFineTuning().apply(loaded.model, PartFlags(image_encoder=True), Precision.fp32)
    arrays = np.load(written(loaded, tmp_path / "npz"))
    assert {array.dtype for array in arrays.values()} == {np.dtype("<f4")}


def test_a_folder_holds_what_it_takes_to_go_on(tmp_path: Path) -> None:
    folder = written(small(), tmp_path / "npz").parent
    assert read_preprocessing(folder) == PREPROCESSING
    assert (folder / "tokenizer.json").is_file()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "library_name: big_vision" in card
    assert f'model_init = "path/to/this/folder/{FILE_NAME}"' in card
    loaded = NpzModel(path=str(folder / FILE_NAME)).load()
    assert loaded.processor_source == folder
    assert loaded.image_size == 56


def test_an_earlier_export_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    written(small(1), tmp_path / "npz")
    written(small(2), tmp_path / "npz")
    assert "params/llm/layers/post_ffw_norm/scale" in np.load(tmp_path / "npz" / FILE_NAME)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ValueError, match="is no export of this project"):
        written(small(), tmp_path / "mine")


@pytest.mark.parametrize(("name", "value"), [("query_pre_attn_scalar", 99), ("attn_logit_softcapping", 30.0)])
def test_what_no_array_can_say_is_refused(tmp_path: Path, name: str, value: float) -> None:
    loaded = small()
    setattr(loaded.model.config.text_config, name, value)
    with pytest.raises(ValueError, match=rf"cannot say that the model's text_config\.{name} is {value}"):
        written(loaded, tmp_path / "npz")
    assert not (tmp_path / "npz").exists()
