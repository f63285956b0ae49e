"""What a folder must hold to be taken for a PaliGemma."""

import json
from pathlib import Path

import pytest

from finetune.model.folder import inspect_folder


def _folder(folder: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


PALIGEMMA = {"model_type": "paligemma", "text_config": {"model_type": "gemma2"}, "vision_config": {"image_size": 448}}
COMPLETE = {"config.json": PALIGEMMA, "model.safetensors": "", "tokenizer.json": "{}"}


def test_the_shape_is_read_from_the_config(tmp_path: Path) -> None:
    facts = inspect_folder(_folder(tmp_path, COMPLETE), setting="model.path")
    assert (facts.image_size, facts.patch_size, facts.generation) == (448, 14, 2)


def test_the_published_2024_config_is_understood(tmp_path: Path, repository: Path) -> None:
    published = repository.parent / "shared" / "reference" / "hf-paligemma-3b-pt-896" / "config.json"
    if not published.is_file():
        pytest.skip("the published config of ../shared is not here")
    files = {**COMPLETE, "config.json": published.read_text(encoding="utf-8")}
    facts = inspect_folder(_folder(tmp_path, files), setting="model.path")
    assert (facts.image_size, facts.patch_size, facts.generation) == (896, 14, 1)


def test_all_shards_of_the_index_must_be_there(tmp_path: Path) -> None:
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    files = {**COMPLETE, "model.safetensors.index.json": {"weight_map": shards}, shards["a"]: ""}
    del files["model.safetensors"]
    with pytest.raises(ValueError, match=r"lacks 1 of 2 weight files: \['model-00002-of-00002.safetensors'\]"):
        inspect_folder(_folder(tmp_path, files), setting="model.path")
    (tmp_path / shards["b"]).touch()
    assert inspect_folder(tmp_path, setting="model.path").generation == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config.json": None}, r"holds no config\.json; give the folder"),
        ({"config.json": None, "adapter_config.json": "{}"}, "it is an adapter: export it with format=merged"),
        ({"config.json": "{"}, r"config\.json is not JSON"),
        ({"config.json": "[]"}, "must hold a JSON object"),
        ({"config.json": {"model_type": "llava"}}, "holds a model of type 'llava'"),
        ({"config.json": {}}, "holds a model of type None"),
        ({"config.json": {**PALIGEMMA, "text_config": {"model_type": "llama"}}}, "has a 'llama' decoder"),
        (
            {"config.json": {**PALIGEMMA, "text_config": {"model_type": "gemma2", "attention_dropout": 0.1}}},
            r"sets text_config\.attention_dropout=0\.1, which is not supported; set it to 0",
        ),
        (
            {"config.json": {**PALIGEMMA, "vision_config": {"attention_dropout": 0.5}}},
            r"sets vision_config\.attention_dropout=0\.5",
        ),
        ({"config.json": {**PALIGEMMA, "vision_config": []}}, "vision_config must be a JSON object"),
        ({"config.json": {**PALIGEMMA, "auto_map": {"AutoModel": "x.Y"}}}, "asks for code by auto_map"),
        (
            {"config.json": {**PALIGEMMA, "text_config": {"model_type": "gemma", "attn_implementation": "me/kernel"}}},
            "asks for code by attn_implementation",
        ),
        ({"config.json": "[" * 200_000}, r"config\.json is not JSON"),
        ({"model.safetensors": None, "last.ckpt": ""}, r"only last\.ckpt, which is not read"),
        (
            {"model.safetensors": None, "model.safetensors.index.json": {"weight_map": {"a": "x.bin"}}},
            r"names 'x\.bin'; it must name \.safetensors files of its own folder",
        ),
        (
            {"model.safetensors": None, "model.safetensors.index.json": {"weight_map": {"a": "../x.safetensors"}}},
            r"names '\.\./x\.safetensors'",
        ),
        ({"model.safetensors": None}, "holds no weights"),
        ({"model.safetensors": None, "pytorch_model.bin": ""}, r"only pytorch_model\.bin, which is not read"),
        ({"model.safetensors": None, "model.safetensors.index.json": {}}, "lacks 0 of 0 weight files"),
        ({"tokenizer.json": None}, r"holds no tokenizer\.json"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: dict[str, object], message: str) -> None:
    files = {name: content for name, content in {**COMPLETE, **change}.items() if content is not None}
    with pytest.raises(ValueError, match=message):
        inspect_folder(_folder(tmp_path, files), setting="model.path")
