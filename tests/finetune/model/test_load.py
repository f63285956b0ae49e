"""Folders in both key layouts, sharded or not, complete or not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finetune.model.choices import LocalModel, TinyModel
from finetune.model.load import LoadedModel
from finetune.settings import Precision

SMALL = {"vision_width": 32, "vision_depth": 2, "decoder_width": 64, "decoder_depth": 2}


def _save(loaded: LoadedModel, folder: Path, **options: str) -> Path:
    loaded.model.save_pretrained(folder, **options)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(loaded.processor_source / name, folder / name)
    return folder


@pytest.fixture(scope="module", params=[1, 2])
def original(request: pytest.FixtureRequest) -> LoadedModel:
    return TinyModel(generation=request.param, **SMALL).load()


@pytest.fixture(scope="module")
def folder(original: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(original, tmp_path_factory.mktemp("current"))


def _rewrite(folder: Path, target: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Path:
    shutil.copytree(folder, target)
    save_file(change(load_file(folder / "model.safetensors")), target / "model.safetensors", {"format": "pt"})
    return target


def _equal(first: LoadedModel, second: LoadedModel) -> bool:
    left, right = first.model.state_dict(), second.model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def _to_2024_layout(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors as the published checkpoints do."""
    renamed = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("model.").replace("vision_tower.vision_model.", "vision_tower.")
        name = name.replace("language_model.model.", "language_model.")
        name = name.replace("vision_tower.", "vision_tower.vision_model.")
        renamed[name.replace("language_model.", "language_model.model.")] = tensor
    return renamed


def test_a_saved_model_is_read_back_bit_for_bit(original: LoadedModel, folder: Path) -> None:
    loaded = LocalModel(path=str(folder)).load()
    assert _equal(loaded, original)
    assert loaded.model.lm_head.weight is loaded.model.get_input_embeddings().weight
    assert (loaded.generation, loaded.image_size, loaded.base_name) == (original.generation, 112, str(folder))


def test_the_2024_key_names_are_the_published_ones(folder: Path, repository: Path) -> None:
    published = repository.parent / "shared" / "reference" / "hf-paligemma-3b-pt-896" / "model.safetensors.index.json"
    if not published.is_file():
        pytest.skip("the published index of ../shared is not here")
    known = set(json.loads(published.read_text(encoding="utf-8"))["weight_map"])
    ours = set(_to_2024_layout(load_file(folder / "model.safetensors")))
    # PaliGemma 2 has two more norms in each layer; otherwise every name is in the published index.
    assert {name for name in ours - known if "feedforward_layernorm" not in name} == set()


def test_the_2024_key_layout_loads_as_the_current_one(original: LoadedModel, folder: Path, tmp_path: Path) -> None:
    old = _rewrite(folder, tmp_path / "old", _to_2024_layout)
    assert _equal(LocalModel(path=str(old)).load(), original)


def test_shards_load_as_one_file(original: LoadedModel, tmp_path: Path) -> None:
    sharded = _save(original, tmp_path / "sharded", max_shard_size="300KB")
    assert len(list(sharded.glob("model-*.safetensors"))) > 1
    assert _equal(LocalModel(path=str(sharded)).load(), original)


def test_a_file_that_repeats_the_tied_head_loads(original: LoadedModel, folder: Path, tmp_path: Path) -> None:
    def repeat_head(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        table = next(tensor for name, tensor in tensors.items() if "embed_tokens" in name)
        return {**tensors, "lm_head.weight": table.clone()}

    loaded = LocalModel(path=str(_rewrite(folder, tmp_path / "head", repeat_head))).load()
    assert _equal(loaded, original)
    assert loaded.model.lm_head.weight is loaded.model.get_input_embeddings().weight


def test_a_head_of_its_own_is_refused(folder: Path, tmp_path: Path) -> None:
    def other_head(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        table = next(tensor for name, tensor in tensors.items() if "embed_tokens" in name)
        return {**tensors, "lm_head.weight": table + 1}

    with pytest.raises(ValueError, match="the output head differs from the embeddings"):
        LocalModel(path=str(_rewrite(folder, tmp_path / "head", other_head))).load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: {n: v for n, v in t.items() if "fc1" not in n},
            r"4 tensors are missing from the weights: .*fc1\.bias",
        ),
        (lambda t: {**t, "adapter.weight": torch.zeros(2)}, "1 tensor is not part of a PaliGemma .*: adapter.weight"),
        (
            lambda t: {n: v[:, :16].clone() if "patch" not in n and "fc1.weight" in n else v for n, v in t.items()},
            r"2 tensors are of another shape than the config says: .*fc1\.weight",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LocalModel(path=str(_rewrite(folder, tmp_path / "broken", change))).load()


def test_weights_are_read_in_the_dtype_asked_for(folder: Path) -> None:
    model = LocalModel(path=str(folder), dtype=Precision.bf16).load().model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "mixed")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "mixed" / "config.json").write_text(json.dumps({**config, "image_token_index": 2310}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"says image_token_index 2310, tokenizer\.json gives <image> the id 2304"):
        LocalModel(path=str(tmp_path / "mixed")).load()


def test_published_soft_caps_and_windows_are_switched_off_and_said(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["text_config"]["model_type"] == "gemma":
        assert LocalModel(path=str(folder)).load().notes == ("no soft-caps; full attention in every layer",)
        return
    shutil.copytree(folder, tmp_path / "published")
    # As in the published configs, which leave both to transformers' defaults.
    del config["text_config"]["layer_types"], config["text_config"]["final_logit_softcapping"]
    (tmp_path / "published" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = LocalModel(path=str(tmp_path / "published")).load()
    assert loaded.model.config.text_config.final_logit_softcapping is None
    assert all(layer.self_attn.sliding_window is None for layer in loaded.model.model.language_model.layers)
    assert loaded.notes == (
        "attention soft-cap 50.0, query scale 64^-1/2",
        "final logit soft-cap 30.0 switched off, as the original trains",
        "full attention in every layer (1 of 2 had a window of 4096 tokens)",
    )
