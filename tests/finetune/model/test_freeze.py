"""Counting and casting what trains."""

import json
from pathlib import Path

import pytest
import torch
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from finetune.model.choices import TinyModel
from finetune.model.freeze import cast_trainable, train_parts, trainable_by_part
from finetune.model.load import LoadedModel
from finetune.model.parts import Part, part_of
from finetune.settings import Precision


@pytest.fixture
def loaded() -> LoadedModel:
    return TinyModel(vision_width=32, vision_depth=1, decoder_width=64, decoder_depth=1, dtype=Precision.bf16).load()


def test_counts_cover_every_parameter_once(loaded: LoadedModel) -> None:
    counts = trainable_by_part(loaded.model)
    assert [count.part for count in counts] == list(Part)
    assert sum(count.num_total for count in counts) == sum(parameter.numel() for parameter in loaded.model.parameters())
    assert all(count.num_trainable == 0 for count in counts)


def test_the_tied_head_counts_once_as_embeddings(loaded: LoadedModel) -> None:
    embeddings = next(count for count in trainable_by_part(loaded.model) if count.part is Part.embeddings)
    assert embeddings.num_total == loaded.model.lm_head.weight.numel()


@pytest.mark.parametrize("part", list(Part))
def test_exactly_the_named_part_trains(loaded: LoadedModel, part: Part) -> None:
    train_parts(loaded.model, [part])
    for count in trainable_by_part(loaded.model):
        assert count.num_trainable == (count.num_total if count.part is part else 0)


def test_what_trains_is_cast_and_nothing_else_and_ties_hold(loaded: LoadedModel) -> None:
    train_parts(loaded.model, [Part.embeddings, Part.connector])
    cast_trainable(loaded.model, torch.float32)
    for name, parameter in loaded.model.named_parameters():
        trains = part_of(name) in (Part.embeddings, Part.connector)
        assert parameter.dtype == (torch.float32 if trains else torch.bfloat16)
    assert loaded.model.lm_head.weight is loaded.model.get_input_embeddings().weight


def test_counts_of_the_published_model_are_the_published_ones(repository: Path) -> None:
    folder = repository.parent / "shared" / "reference" / "hf-paligemma-3b-pt-896"
    if not folder.is_dir():
        pytest.skip("the published config of ../shared is not here")
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(PaliGemmaConfig.from_pretrained(folder))
    counts = {count.part: count.num_total for count in trainable_by_part(model)}
    index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert sum(counts.values()) == index["metadata"]["total_size"] // 4
    assert counts[Part.embeddings] == 257_216 * 2048
    assert counts[Part.connector] == 1152 * 2048 + 2048
