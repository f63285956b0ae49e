"""What can be known about a checkpoint's folder without reading a weight or importing torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GENERATIONS = {"gemma": 1, "gemma2": 2}
# What unpickling would run: torch's, Lightning's and DeepSpeed's files, and the index of a distributed checkpoint.
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", ".metadata", "global_step*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """The shape of a checkpoint: side of its square images and of a patch in pixels, PaliGemma 1 or 2."""

    image_size: int
    patch_size: int
    generation: int


def inspect_folder(folder: Path, *, setting: str) -> FolderFacts:
    """Read config.json and check that weights and tokenizer are there, in a form that is read without pickle.

    Args:
        setting: What messages call the folder, such as "model.path".

    Raises:
        ValueError: If the folder is not a usable PaliGemma checkpoint, saying what is missing.
    """
    facts = read_facts(folder, setting=setting)
    _check_weights(folder, setting)
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{setting}: {folder} holds no tokenizer.json; copy it from the published checkpoint")
    return facts


def read_facts(folder: Path, *, setting: str) -> FolderFacts:
    """Read config.json alone.

    Raises:
        ValueError: If it is missing, or is not a PaliGemma's.
    """
    if not folder.is_dir():
        raise ValueError(f"{setting}: there is no folder {folder}")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{setting}: {folder} holds no config.json; {_guess_kind(folder)}")
    config = _read_json(folder / "config.json", setting)
    kind = config.get("model_type")
    if kind != "paligemma":
        raise ValueError(f"{setting}: {folder} holds a model of type {kind!r} by its config.json, not 'paligemma'")
    return _facts(config, folder, setting)


def _facts(config: dict[str, Any], folder: Path, setting: str) -> FolderFacts:
    _refuse_code(config, folder, setting)
    for part in ("text_config", "vision_config"):
        # Our attention has none, as the original's; it would be left out without a word.
        if config.get(part, {}).get("attention_dropout"):
            raise ValueError(
                f"{setting}: {folder}/config.json sets {part}.attention_dropout="
                f"{config[part]['attention_dropout']}, which is not supported; set it to 0"
            )
    decoder = config.get("text_config", {}).get("model_type", "gemma")
    if decoder not in _GENERATIONS:
        raise ValueError(
            f"{setting}: {folder} has a {decoder!r} decoder; PaliGemma 1 has 'gemma', PaliGemma 2 'gemma2'"
        )
    vision = config.get("vision_config", {})
    # Published configs leave out what equals transformers' defaults for PaliGemma.
    return FolderFacts(
        image_size=vision.get("image_size", 224),
        patch_size=vision.get("patch_size", 14),
        generation=_GENERATIONS[decoder],
    )


def _refuse_code(config: dict[str, Any], folder: Path, setting: str) -> None:
    """Refuse a config that asks for code: of its own folder, or kernels of somebody's repository on the hub."""
    for part in ("", "text_config", "vision_config"):
        own = config.get(part, {}) if part else config
        if not isinstance(own, dict):
            raise ValueError(f"{setting}: {folder}/config.json: {part} must be a JSON object, got {own!r}")
        for name in ("auto_map", "attn_implementation", "_attn_implementation"):
            if own.get(name) not in (None, "eager", "sdpa"):
                raise ValueError(
                    f"{setting}: {folder}/config.json asks for code by {name}={str(own[name])[:100]!r}, which is never "
                    "run; remove it if this is a PaliGemma like the published ones"
                )


def _check_weights(folder: Path, setting: str) -> None:
    if (folder / "model.safetensors").is_file():
        return
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
        found = f"only {pickled[0]}, which is not read because unpickling runs code" if pickled else "no weights"
        raise ValueError(f"{setting}: {folder} holds {found}; model.safetensors is needed, or shards with their index")
    weight_map = _read_json(index, setting).get("weight_map", {})
    shards = sorted(set(map(str, weight_map.values() if isinstance(weight_map, dict) else ())))
    foreign = [name for name in shards if Path(name).name != name or not name.endswith(".safetensors")]
    if foreign:
        # transformers would unpickle what is not called .safetensors, and follow a path to another folder.
        raise ValueError(f"{setting}: {index} names {foreign[0]!r}; it must name .safetensors files of its own folder")
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing or not shards:
        raise ValueError(f"{setting}: {folder} lacks {len(missing)} of {len(shards)} weight files: {missing[:3]}")


def _guess_kind(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "it is an adapter: export it with format=merged first, and give that folder"
    return "give the folder that holds config.json, tokenizer.json and *.safetensors"


def _read_json(path: Path, setting: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{setting}: {path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{setting}: {path} must hold a JSON object")
    return content
