"""The published checkpoint's 603 tensors by name: all are filled, none is left over; and what we export."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from finetune.export.merged import write_merged
from finetune.export.model_card import RunFacts
from finetune.export.preprocessing import Preprocessing
from finetune.model.choices import TINY_TOKENIZER, LocalModel
from finetune.model.npz import parameters_by_name
from finetune.model.npz_config import config_of, dimensions_of
from finetune.model.npz_layout import array_rules
from finetune.settings import DataSettings
from finetune.tokens.tokenizer import Tokenizer

NUM_TENSORS = 603


@pytest.fixture
def folder(repository: Path) -> Path:
    found = repository.parent / "shared" / "reference" / "hf-paligemma-3b-pt-896"
    if not found.is_dir():
        pytest.skip("the published index of ../shared is not here")
    return found


@pytest.fixture
def names(folder: Path) -> set[str]:
    index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    return set(index["weight_map"])


def published_name(name: str) -> str:
    """Return the name of 2024 for one of today's, in memory."""
    if name.startswith("model.vision_tower."):
        return name.replace("model.vision_tower.", "vision_tower.vision_model.")
    if name.startswith("model.language_model."):
        return name.replace("model.language_model.", "language_model.model.")
    return name.removeprefix("model.")


def test_a_model_of_the_published_dimensions_has_exactly_these_tensors(folder: Path, names: set[str]) -> None:
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(PaliGemmaConfig.from_pretrained(folder))
    parameters = parameters_by_name(model)
    assert len(names) == NUM_TENSORS
    assert {published_name(name) for name in parameters} == names
    assert sum(parameter.numel() * 4 for parameter in parameters.values()) == 11_711_560_640


def test_the_originals_arrays_fill_exactly_these_tensors(folder: Path, names: set[str]) -> None:
    config = PaliGemmaConfig.from_pretrained(folder)
    dimensions = dimensions_of(config, vocabulary_size=config.image_token_id)
    assert dimensions.image_size == 896
    filled = [
        name for rule in array_rules(dimensions) for layer in range(rule.num_layers) for name in rule.names(layer)
    ]
    assert sorted(map(published_name, filled)) == sorted(names)


def narrow_config(folder: Path) -> PaliGemmaConfig:
    """Return the published configuration with all its layers and next to no width."""
    config = PaliGemmaConfig.from_pretrained(folder)
    size = Tokenizer.from_folder(TINY_TOKENIZER).vocabulary_size
    config.image_token_id = size
    vision, decoder = config.vision_config, config.text_config
    vision.hidden_size, vision.intermediate_size, vision.num_attention_heads, vision.image_size = 16, 8, 2, 28
    decoder.hidden_size, decoder.intermediate_size, decoder.num_attention_heads, decoder.head_dim = 16, 8, 2, 4
    decoder.vocab_size = size + 64
    config.projection_dim = vision.projection_dim = 16
    return config


@pytest.fixture
def checkpoint(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint with the published names, each tensor with random values of its own."""
    config = narrow_config(folder)
    with torch.device("meta"):
        shapes = {name: p.shape for name, p in PaliGemmaForConditionalGeneration(config).named_parameters()}
    generator = torch.Generator().manual_seed(0)
    tensors = {published_name(name): torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    config.save_pretrained(tmp_path / "published")
    save_file(tensors, tmp_path / "published" / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "published" / "tokenizer.json").write_bytes((TINY_TOKENIZER / "tokenizer.json").read_bytes())
    return tmp_path / "published"


def test_every_published_name_is_read_and_every_value_lands_in_its_place(checkpoint: Path, names: set[str]) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    assert tensors.keys() == names
    loaded = LocalModel(path=str(checkpoint)).load()
    found = {published_name(name): parameter for name, parameter in parameters_by_name(loaded.model).items()}
    assert found.keys() == names
    assert all(torch.equal(found[name], tensors[name]) for name in names)


def test_exported_names_are_the_published_ones_but_for_one_level(
    checkpoint: Path, names: set[str], tmp_path: Path
) -> None:
    """transformers 5 writes vision_tower.x where published files have vision_tower.vision_model.x; it reads both."""
    tensors = load_file(checkpoint / "model.safetensors")
    run = RunFacts(name="run", recipe="r", dataset="d", settings="seed: 0", scores={}, step=0)
    preprocessing = Preprocessing.of_run(28, DataSettings())
    write_merged(LocalModel(path=str(checkpoint)).load(), tmp_path / "merged", run, preprocessing)
    exported = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tensor
        for name, tensor in load_file(tmp_path / "merged" / "model.safetensors").items()
    }
    assert exported.keys() == names
    assert all(torch.equal(exported[name], tensors[name]) for name in names)
    plain, report = PaliGemmaForConditionalGeneration.from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert len(list(plain.parameters())) == NUM_TENSORS


def test_a_model_built_for_the_original_has_the_published_names_too(folder: Path, names: set[str]) -> None:
    config = PaliGemmaConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(
            config_of(dimensions_of(config, vocabulary_size=config.image_token_id))
        )
    assert {published_name(name) for name in parameters_by_name(model)} == names
