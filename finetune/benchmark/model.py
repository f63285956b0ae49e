"""The measured model: random weights made where they are needed, and shared by all variants while frozen."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import (
    Gemma2Config,
    GemmaConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    SiglipVisionConfig,
)

from finetune.benchmark.choices import Method, Workload
from finetune.benchmark.dimensions import Dimensions
from finetune.benchmark.samples import SEED
from finetune.model.dtype import to_torch_dtype
from finetune.model.load import prepare_config
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import PartFlags
from finetune.tokens.tokenizer import Tokenizer

_ADAPTER_SPREAD = 0.02


def build_model(workload: Workload, dimensions: Dimensions, device: torch.device) -> PaliGemmaForConditionalGeneration:
    """Initialise a model on the device, frozen, in the workload's precision, without touching the random state.

    With QLoRA the decoder's matrices are in NF4 from then on, in all variants.

    Soft-caps and windows are those of training: no final cap, no window (`finetune.model.load.prepare_config`).
    """
    config = _config(workload, dimensions)
    prepare_config(config)
    with _random_state(device), torch.device(device), _default_dtype(to_torch_dtype(workload.precision)):
        model = PaliGemmaForConditionalGeneration(config)
    model.requires_grad_(False)
    if workload.method is Method.qlora:
        from finetune.model.nf4_linear import quantize_decoder

        quantize_decoder(model, has_double_scales=True)
    return model.eval()


def our_model(base: nn.Module, workload: Workload) -> nn.Module:
    """Return the base as this project trains it, with adapters of its own."""
    model = _twin(base, workload)
    with _random_state(next(base.parameters()).device):
        if workload.method is Method.full:
            FullFineTuning().apply(model, PartFlags(), workload.trained_in)
        else:
            adapters_of(workload).apply(model, PartFlags(), workload.trained_in)
            _draw_adapters(model)
    return model


def peers_model(base: nn.Module, workload: Workload) -> nn.Module:
    """Return the base as people train it with transformers and peft, with equal adapters."""
    from peft import get_peft_model

    model = _twin(base, workload)
    with _random_state(next(base.parameters()).device):
        if workload.method is Method.full:
            return model.requires_grad_(True).to(to_torch_dtype(workload.trained_in))
        wrapped: nn.Module = get_peft_model(model, adapters_of(workload).to_peft())
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(to_torch_dtype(workload.trained_in))
        _draw_adapters(wrapped)
    return wrapped


def plain_modules(model: nn.Module) -> Any:
    """Return transformers' own model inside peft's wrapper, where there is one."""
    wrapped: Any = model
    return wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped


def adapters_of(workload: Workload) -> Lora:
    """Return the adapters of all variants: every linear layer of the decoder, without dropout."""
    return Lora(rank=workload.rank, alpha=2.0 * workload.rank)


def use_attention(model: nn.Module, workload: Workload, *, exact: bool = False) -> str:
    """Let transformers' modules attend in the fastest right way that this release has; say which.

    Args:
        exact: Spell attention out everywhere, as the reference of the gates does.

    transformers' sdpa has no soft-cap: some releases refuse it for Gemma 2, others leave the cap out and say nothing.
    """
    inner: Any = model
    is_capped = workload.generation == 2 and workload.soft_cap is not None
    if not exact and not is_capped:
        try:
            inner.set_attn_implementation("sdpa")
            return "sdpa"
        except ValueError:
            pass
    vision = "eager" if exact else "sdpa"
    inner.set_attn_implementation({"text_config": "eager", "vision_config": vision})
    return f"eager in the decoder, {vision} in the image encoder"


def num_bytes(tensors: Iterator[torch.Tensor]) -> int:
    """Return the memory of tensors; what they share counts once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def trainable_by_name(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return what trains by the name that it has without peft's wrapper."""
    return {
        name.removeprefix("base_model.model."): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def _twin(base: nn.Module, workload: Workload) -> nn.Module:
    """Copy the modules; parameters stay the same objects where they are frozen, so that they lie in memory once."""
    shared = {} if workload.method is Method.full else {id(parameter): parameter for parameter in base.parameters()}
    return copy.deepcopy(base, shared)


@torch.no_grad()
def _draw_adapters(model: nn.Module) -> None:
    """Start the second factors at random too: from zero, the gradients of the first ones would be zero."""
    for name, parameter in sorted(trainable_by_name(model).items()):
        if "lora_B" in name:
            parameter.normal_(0, _ADAPTER_SPREAD)


def _config(workload: Workload, dimensions: Dimensions) -> PaliGemmaConfig:
    special_ids = {
        "pad_token_id": Tokenizer.pad_id,
        "bos_token_id": Tokenizer.bos_id,
        "eos_token_id": Tokenizer.eos_id,
    }
    vision = SiglipVisionConfig(
        hidden_size=dimensions.vision_width,
        intermediate_size=dimensions.vision_intermediate,
        num_hidden_layers=dimensions.vision_layers,
        num_attention_heads=dimensions.vision_heads,
        image_size=workload.image_size,
        patch_size=dimensions.patch_size,
        vision_use_head=False,
    )
    return PaliGemmaConfig(
        vision_config=vision,
        text_config=_decoder_config(workload, dimensions, special_ids),
        projection_dim=dimensions.width,
        hidden_size=dimensions.width,
        vocab_size=dimensions.rows,
        image_token_index=dimensions.image_token_id,
        **special_ids,
    )


def _decoder_config(
    workload: Workload, dimensions: Dimensions, special_ids: dict[str, int]
) -> GemmaConfig | Gemma2Config:
    common = {
        "vocab_size": dimensions.rows,
        "hidden_size": dimensions.width,
        "intermediate_size": dimensions.intermediate,
        "num_hidden_layers": dimensions.layers,
        "num_attention_heads": dimensions.heads,
        "num_key_value_heads": dimensions.key_heads,
        "head_dim": dimensions.head_dim,
        "max_position_embeddings": 8192,
        **special_ids,
    }
    if workload.generation == 1:
        return GemmaConfig(**common)
    return Gemma2Config(
        **common, query_pre_attn_scalar=dimensions.query_scale, attn_logit_softcapping=workload.soft_cap
    )


@contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    """Draw from the benchmark's seed inside, and leave the state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        yield


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
