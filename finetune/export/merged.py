"""The fine-tuned model as one folder that plain transformers loads: adapters folded into the weights."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import GenerationConfig, PaliGemmaForConditionalGeneration

from finetune.export.model_card import RunFacts, render_card, write_card
from finetune.export.placing import placed
from finetune.export.preprocessing import Preprocessing, write_processor
from finetune.model.file_mode import share_tensors
from finetune.model.load import LoadedModel
from finetune.model.nf4 import dense_weight, is_nf4

_SHARD_SIZE = "5GB"


def write_merged(loaded: LoadedModel, folder: Path, run: RunFacts, preprocessing: Preprocessing) -> None:
    """Write weights, config, processor, generation settings and model card; the model in memory stays as it is.

    Weights are written in the widest format that any of them has (float32 where float32 was trained), so that
    nothing that was learned is rounded away.

    Raises:
        ValueError: If the folder holds something else than an export.
    """
    card = render_card(loaded, run, preprocessing, is_adapter=False)
    with placed(folder) as partial:
        plain = merged_model(loaded)
        plain.generation_config = generation_settings(loaded)
        plain.save_pretrained(partial, max_shard_size=_SHARD_SIZE)
        share_tensors(partial, like="config.json")
        write_processor(loaded, partial, preprocessing)
        write_card(partial, card, run)


def merged_model(loaded: LoadedModel) -> PaliGemmaForConditionalGeneration:
    """Return a model without adapters that computes the same. It shares no memory with the weights that it changes."""
    state = merged_state(loaded.model)
    dtype = torch.float32 if any(tensor.dtype == torch.float32 for tensor in state.values()) else loaded.model.dtype
    with torch.device("meta"):
        plain = PaliGemmaForConditionalGeneration(copy.deepcopy(loaded.model.config))
    plain.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()}, assign=True)
    plain.tie_weights()
    plain.config.dtype = dtype
    return plain


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of the model without adapters, by plain names. The model itself is not changed, bit for bit."""
    merged = merged_weights(model)
    state = {}
    for name, tensor in model.state_dict().items():
        # What lies below a weight is the scales of a quantised one.
        if ".lora_" not in name and ".weight." not in name:
            plain_name = name.replace(".base_layer.", ".")
            state[plain_name] = merged[plain_name]() if plain_name in merged else tensor
    return state


def merged_weights(model: nn.Module) -> dict[str, Callable[[], Tensor]]:
    """Return what computes each weight that is not simply there, for an adapter or for NF4, by its plain name."""
    merged: dict[str, Callable[[], Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            merged[f"{name}.weight"] = partial(merged_weight, module)
        elif is_nf4(module) and not name.endswith(".base_layer"):
            merged[f"{name}.weight"] = partial(dense_weight, module.weight, torch.float32)
    return merged


def generation_settings(loaded: LoadedModel) -> GenerationConfig:
    """Return settings under which plain `generate` never says what the vocabulary does not hold.

    The table has rows that training never touches, from <image> on; the original's table ends before them.
    """
    tokenizer = loaded.tokenizer
    num_rows = loaded.model.config.text_config.vocab_size
    return GenerationConfig(
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        pad_token_id=tokenizer.pad_id,
        suppress_tokens=list(range(tokenizer.vocabulary_size, num_rows)),
    )


def merged_weight(layer: LoraLayer) -> Tensor:
    """Fold one adapter into its weight in float32, on a copy that takes the weight's place for the moment."""
    base = layer.get_base_layer()
    if is_nf4(base):
        # peft would round the sum to NF4 again.
        (name,) = layer.lora_A
        down, up = layer.lora_A[name].weight.detach().float(), layer.lora_B[name].weight.detach().float()
        return dense_weight(base.weight, torch.float32).addmm(up, down, alpha=layer.scaling[name])
    original = base.weight.data
    base.weight.data = original.float().clone()
    try:
        layer.merge(safe_merge=True)
        merged: Tensor = base.weight.data.clone()
        layer.unmerge()
    finally:
        base.weight.data = original
    return merged
