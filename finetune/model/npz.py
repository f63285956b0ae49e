"""The original's .npz checkpoint into a model, and a model back into its arrays, a layer at a time.

Beside the model itself, memory holds one layer of one array. Weights are permuted and reshaped, never computed with, so
both ways keep every bit where `dtype` is the file's.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration
from transformers.initialization import no_init_weights

from finetune.model.dtype import to_torch_dtype
from finetune.model.folder import FolderFacts
from finetune.model.load import Base, LoadedModel, finish, prepare_config
from finetune.model.npz_checkpoint import NpzCheckpoint
from finetune.model.npz_config import config_of
from finetune.model.npz_dimensions import Dimensions
from finetune.model.npz_layout import EMBEDDING, ArrayRule, array_rules
from finetune.model.position import resize_position_embedding
from finetune.settings import Precision
from finetune.tokens.tokenizer import Tokenizer

# Rows of the table that are in memory at once: 64 MiB of the widest one's in float32.
_ROWS_AT_ONCE = 2048


def load(
    base: Base, checkpoint: NpzCheckpoint, tokenizer: Tokenizer | None, *, dtype: Precision, image_size: int | None
) -> LoadedModel:
    """Read a checkpoint.

    Args:
        tokenizer: None where the model is only written in another form.
        image_size: Another resolution than the checkpoint's, a multiple of its patch size; None keeps it.

    Raises:
        ValueError: If the file is damaged, or the tokenizer another model's.
    """
    dimensions = checkpoint.dimensions
    model, notes = load_npz(checkpoint, dtype)
    if image_size is not None and image_size != dimensions.image_size:
        notes = (*notes, resize_position_embedding(model, image_size))
    facts = FolderFacts(
        image_size=dimensions.image_size, patch_size=dimensions.patch_size, generation=dimensions.generation
    )
    return finish(model, tokenizer, base=base, facts=facts, notes=notes)


def load_npz(checkpoint: NpzCheckpoint, dtype: Precision) -> tuple[PaliGemmaForConditionalGeneration, tuple[str, ...]]:
    """Build the model that a checkpoint's arrays describe, and fill it; say what it is in a few sentences.

    Raises:
        ValueError: If the file is damaged.
    """
    config = config_of(checkpoint.dimensions)
    notes = (*_notes(checkpoint), *prepare_config(config))
    model = empty_model(config, dtype)
    parameters = parameters_by_name(model)
    with torch.no_grad():
        for rule in array_rules(checkpoint.dimensions):
            _fill(parameters, rule, checkpoint)
        _fill_further_rows(model.get_input_embeddings().weight, checkpoint.dimensions.vocabulary_size)
    return model, notes


def empty_model(config: PaliGemmaConfig, dtype: Precision) -> PaliGemmaForConditionalGeneration:
    """Return a model whose weights are memory that nobody has written to."""
    with no_init_weights():
        model: PaliGemmaForConditionalGeneration = PaliGemmaForConditionalGeneration._from_config(
            config, dtype=to_torch_dtype(dtype)
        )
    # `no_init_weights` leaves this out with the rest.
    model.tie_weights()
    return model


def parameters_by_name(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters by the names that the layout uses, the tied head left out."""
    return {plain_name(name): parameter for name, parameter in model.named_parameters()}


def plain_name(name: str) -> str:
    """Return a parameter's name in the layout: some releases of transformers keep the encoder one level deeper."""
    return name.replace("vision_tower.vision_model.", "vision_tower.")


def array_blocks(
    rule: ArrayRule, tensor_of: Callable[[str], Tensor], dtype: Precision | None = None
) -> Iterator[np.ndarray]:
    """Yield one of the original's arrays along its first axis, out of parameters or their gradients.

    Args:
        tensor_of: From a parameter's name to a tensor of its shape; called once for each, when its layer comes.
        dtype: The format of the values; None: the tensors'.
    """
    for layer in range(rule.num_layers):
        pieces = [_original_piece(rule, tensor_of(name).detach()) for name in rule.names(layer)]
        pieces = pieces if dtype is None else [piece.to(to_torch_dtype(dtype)) for piece in pieces]
        block = pieces[0] if len(pieces) == 1 else torch.stack(pieces)
        yield as_numpy(block[None] if rule.is_stacked else block)


def as_numpy(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values; bfloat16, which numpy does not have, as its two bytes."""
    plain = tensor.detach().cpu()
    array: np.ndarray = (plain.contiguous().view(torch.uint16) if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def _notes(checkpoint: NpzCheckpoint) -> tuple[str, ...]:
    """Say what was read, and what the rows of the table are that the file does not have."""
    dimensions = checkpoint.dimensions
    formats = sorted({array.dtype.name for array in checkpoint.file.arrays.values()})
    return (
        f"read from the original's .npz ({', '.join(formats)}): {len(checkpoint.file.arrays)} arrays",
        f"embedding table of {dimensions.vocabulary_size} rows, and {_num_further(dimensions)} more for <image> and "
        f"padding as in the Hugging Face layout: they hold the table's mean, are never read, never predicted, and are "
        f"left out of an .npz",
    )


def _fill(parameters: dict[str, Tensor], rule: ArrayRule, checkpoint: NpzCheckpoint) -> None:
    """Read one array into the parameters that it becomes."""
    if rule.array == EMBEDDING:
        start = 0
        for block in checkpoint.file.blocks(rule.array, _ROWS_AT_ONCE):
            parameters[rule.parameters[0]][start : start + len(block)].copy_(_as_tensor(block, rule, checkpoint))
            start += len(block)
        return
    blocks = checkpoint.file.blocks(rule.array, 1 if rule.is_stacked else None)
    for layer, block in enumerate(blocks):
        tensor = _as_tensor(block[0] if rule.is_stacked else block, rule, checkpoint)
        pieces = [tensor] if len(rule.parameters) == 1 else list(tensor)
        for name, piece in zip(rule.names(layer), pieces, strict=True):
            parameters[name].copy_(piece.permute(rule.axes).reshape(parameters[name].shape))


def _as_tensor(block: np.ndarray, rule: ArrayRule, checkpoint: NpzCheckpoint) -> Tensor:
    tensor = torch.from_numpy(block)
    return tensor.view(torch.bfloat16) if checkpoint.file.arrays[rule.array].dtype is Precision.bf16 else tensor


def _fill_further_rows(table: Tensor, vocabulary_size: int) -> None:
    """Give the rows that the original does not have the mean of the others.

    Hugging Face drew the published ones closely around the mean. They are never looked up (<image> is a placeholder)
    and lie outside the vocabulary that the loss and generation score; the mean leaves tools that look at the whole
    table with nothing odd to see.
    """
    total = torch.zeros(table.shape[1], dtype=torch.float64)
    for start in range(0, vocabulary_size, _ROWS_AT_ONCE):
        total += table[start : min(start + _ROWS_AT_ONCE, vocabulary_size)].double().sum(dim=0)
    table[vocabulary_size:] = (total / vocabulary_size).to(table.dtype)


def _num_further(dimensions: Dimensions) -> int:
    return dimensions.num_rows - dimensions.vocabulary_size


def _original_piece(rule: ArrayRule, tensor: Tensor) -> Tensor:
    """Undo reshape and permutation of one parameter."""
    if rule.array == EMBEDDING:
        return tensor[: rule.shape[0]]
    permuted = tensor.reshape([rule.piece_shape[axis] for axis in rule.axes])
    return permuted.permute(tuple(np.argsort(rule.axes).tolist()))
