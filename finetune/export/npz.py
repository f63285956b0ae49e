"""The fine-tuned model as the original's .npz, which big_vision (JAX) loads: adapters folded into the weights.

An array is computed and written a layer at a time, so that beside the model only one layer is in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from finetune.export.merged import merged_weights
from finetune.export.model_card import THIS_FOLDER, RunFacts, render_card, write_card
from finetune.export.placing import placed
from finetune.export.preprocessing import Preprocessing, write_processor
from finetune.model.load import LoadedModel
from finetune.model.npz import array_blocks, parameters_by_name, plain_name
from finetune.model.npz_config import config_of, dimensions_of
from finetune.model.npz_dimensions import Dimensions
from finetune.model.npz_file import ArrayToWrite, write_npz
from finetune.model.npz_layout import array_rules
from finetune.settings import Precision

FILE_NAME = "model.npz"
# As the released checkpoints have them.
_PREFIX = "params/"
_FORMATS = {torch.float32: Precision.fp32, torch.float16: Precision.fp16, torch.bfloat16: Precision.bf16}
# What a forward computes with and no array says: the original has one value for each.
_IMPLIED = {
    "text_config": ("query_pre_attn_scalar", "attn_logit_softcapping", "rms_norm_eps", "rope_parameters"),
    "vision_config": ("layer_norm_eps", "hidden_act"),
}
_USE = f"""\
# In a configuration of google-research/big_vision:
config.model_init = "{THIS_FOLDER}/{FILE_NAME}"

# Here, on the command line:
# finetune predict model=npz model.path={THIS_FOLDER}/{FILE_NAME} ..."""


def check_npz_export(loaded: LoadedModel) -> None:
    """Refuse a model that computes with something that the original's layout cannot say.

    Raises:
        ValueError: Naming it.
    """
    ours, implied = loaded.model.config, config_of(_dimensions(loaded))
    for section, names in _IMPLIED.items():
        for name in names:
            value, only = (getattr(getattr(config, section), name, None) for config in (ours, implied))
            if value != only:
                raise ValueError(
                    f"format=npz cannot say that the model's {section}.{name} is {value}: in the original it is "
                    f"{only}; use format=merged"
                )


def write_npz_folder(
    loaded: LoadedModel,
    folder: Path,
    run: RunFacts,
    preprocessing: Preprocessing,
    formats: Mapping[str, Precision] = MappingProxyType({}),
) -> None:
    """Write model.npz with the tokenizer's files, if it has one, and a model card; the model stays as it is.

    Weights are written in the widest format that any of them has, float32 where an adapter is folded in. The rows that
    the Hugging Face table has beyond the vocabulary are left out: the original has none.

    Args:
        formats: Of arrays that have one of their own, by their names without `params/`.

    Raises:
        ValueError: If the layout cannot carry the model, or the folder holds something else than an export.
    """
    check_npz_export(loaded)
    card = render_card(loaded, run, preprocessing, is_adapter=False, use=_USE)
    with placed(folder) as partial:
        write_npz(partial / FILE_NAME, original_arrays(loaded, formats))
        write_processor(loaded, partial, preprocessing)
        write_card(partial, card, run)


def original_arrays(
    loaded: LoadedModel, formats: Mapping[str, Precision] = MappingProxyType({})
) -> Iterator[ArrayToWrite]:
    """Yield every array of the original, computed as it is read, from a model with or without adapters."""
    parameters, computed = _plain_weights(loaded)
    widest = _widest(loaded)

    def tensor_of(name: str) -> Tensor:
        return computed[name]() if name in computed else parameters[name]

    for rule in array_rules(_dimensions(loaded)):
        dtype = formats.get(rule.array, widest)
        yield ArrayToWrite(
            name=_PREFIX + rule.array, shape=rule.shape, dtype=dtype, blocks=array_blocks(rule, tensor_of, dtype)
        )


def _dimensions(loaded: LoadedModel) -> Dimensions:
    # <image> is the first id that is no text's.
    return dimensions_of(loaded.model.config, vocabulary_size=loaded.model.config.image_token_id)


def _plain_weights(loaded: LoadedModel) -> tuple[dict[str, Tensor], dict[str, Callable[[], Tensor]]]:
    """Return the weights by their names in the layout, and what computes those that are not simply there."""
    parameters = {
        name.replace(".base_layer.", "."): parameter
        for name, parameter in parameters_by_name(loaded.model).items()
        if ".lora_" not in name
    }
    computed = {plain_name(name): compute for name, compute in merged_weights(loaded.model).items()}
    return parameters, computed


def _widest(loaded: LoadedModel) -> Precision:
    formats: set[torch.dtype] = {parameter.dtype for parameter in loaded.model.parameters()}
    is_folded = any(isinstance(module, LoraLayer) for module in loaded.model.modules())
    if is_folded or torch.float32 in formats or len(formats) > 1:
        return Precision.fp32
    (only,) = formats
    return _FORMATS[only]
