"""A model without weights: every shape, format and adapter of a run, in no memory."""

from pathlib import Path

import torch
from torch import nn
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from finetune.model.choices import (
    TINY_CHECKPOINT,
    HubModel,
    LocalModel,
    NpzModel,
    PretrainedTinyModel,
    TinyModel,
)
from finetune.model.dtype import to_torch_dtype
from finetune.model.hub import download
from finetune.model.load import prepare_config
from finetune.model.npz_checkpoint import inspect_npz
from finetune.model.npz_config import config_of
from finetune.model.tiny import tiny_config
from finetune.settings import Precision

ModelChoice = PretrainedTinyModel | TinyModel | HubModel | LocalModel | NpzModel


def read_config(choice: ModelChoice) -> PaliGemmaConfig:
    """Return what the chosen model's layers look like, at the resolution of the run; no weight is read.

    Of a checkpoint on the hub, config and tokenizer are downloaded, some megabytes.

    Raises:
        ValueError: If the checkpoint is not there or is none, or if the choice is a plug-in's own.
    """
    match choice:
        case TinyModel():
            return tiny_config(choice)
        case NpzModel():
            config = config_of(inspect_npz(Path(choice.path), setting="model.path").dimensions)
        case PretrainedTinyModel():
            config = _from_folder(TINY_CHECKPOINT)
        case LocalModel():
            config = _from_folder(Path(choice.path))
        case HubModel():
            config = _from_folder(download(choice.full_name, choice.revision, with_weights=False).folder)
        case _:
            raise ValueError(f"the memory of a {type(choice).__name__} cannot be told without loading it")
    if choice.image_size is not None:
        config.vision_config.image_size = choice.image_size
    return config


def build_skeleton(config: PaliGemmaConfig, dtype: Precision | None) -> nn.Module:
    """Return the model on torch's meta device, frozen, as a loaded one is.

    Args:
        dtype: What its weights are kept in; None: fp32, as training loads them.
    """
    prepare_config(config)
    before = torch.get_default_dtype()
    torch.set_default_dtype(to_torch_dtype(dtype or Precision.fp32))
    try:
        with torch.device("meta"):
            model: nn.Module = PaliGemmaForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.requires_grad_(False)
    return model


def _from_folder(folder: Path) -> PaliGemmaConfig:
    config: PaliGemmaConfig = PaliGemmaConfig.from_pretrained(folder, local_files_only=True)
    return config
