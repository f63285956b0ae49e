"""The training forward: a batch of packed examples in, hidden states out.

Mixed formats (frozen weights in bf16, trained ones in fp32) need the caller's `torch.autocast`; without it, only fp32
throughout, or adapters of peft on one base format, work.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.model.attention import MaskRule, prefix_lm_mask
from finetune.model.decoder import language_model, run_decoder
from finetune.model.image_encoder import embed_images


def target_states(
    model: nn.Module,
    batch: Batch,
    *,
    checkpoint_layers: bool = False,
    residual_dropout: float = 0.0,
    mask_rule: MaskRule = prefix_lm_mask,
) -> Float[Tensor, "targets hidden"]:
    """Return the states that predict `batch.targets`, in their order, after the final norm.

    Only these positions leave the decoder: the vocabulary is too large to score any other.

    Args:
        checkpoint_layers: Save memory: keep only the input of each layer that trains, compute it again backwards.
        residual_dropout: As `run_decoder` takes it; for training alone.
        mask_rule: Replaced by tests alone, to show what a wrong mask does.
    """
    decoded = _decoded(model, batch, mask_rule, checkpoint_layers=checkpoint_layers, residual_dropout=residual_dropout)
    states = decoded.flatten(0, 1).index_select(0, batch.predictor_rows)
    normalized: Tensor = language_model(model).norm(states)
    return normalized


def all_states(
    model: nn.Module, batch: Batch, *, mask_rule: MaskRule = prefix_lm_mask
) -> Float[Tensor, "rows tokens hidden"]:
    """Return the states of all positions after the final norm, for the self-test and for tests."""
    normalized: Tensor = language_model(model).norm(_decoded(model, batch, mask_rule))
    return normalized


def embed_tokens(
    model: nn.Module, batch: Batch, *, checkpoint_layers: bool = False
) -> Float[Tensor, "rows tokens hidden"]:
    """Return the decoder's input: text embeddings scaled by sqrt(hidden), image tokens as the connector gives them.

    Source:
        big_vision models/proj/paligemma/paligemma.py, `embed_image_and_text` (0127fb6).
    """
    # A placeholder's id may lie outside the embedding table; what is looked up in its place is overwritten.
    text_ids = batch.input_ids.flatten().index_fill(0, batch.image_rows, 0)
    text: Tensor = language_model(model).embed_tokens(text_ids)
    images = embed_images(model, batch.pixels, checkpoint_layers=checkpoint_layers).flatten(0, 1)
    return text.index_copy(0, batch.image_rows, images.to(text.dtype)).view(*batch.input_ids.shape, -1)


def vocabulary_logits(
    model: nn.Module, states: Float[Tensor, "*rows hidden"], vocabulary_size: int
) -> Float[Tensor, "*rows vocabulary"]:
    """Score the real vocabulary in fp32, without a final soft-cap.

    The published tables hold 64 more rows (the image placeholder and padding), which the original does not have.

    Source:
        big_vision models/ppp/gemma.py: the training logits are never capped, even where the configuration has a cap.
    """
    head: nn.Module = model.lm_head  # type: ignore[assignment]
    logits: Tensor = head(states)
    return logits[..., :vocabulary_size].float()


def _decoded(
    model: nn.Module,
    batch: Batch,
    mask_rule: MaskRule,
    *,
    checkpoint_layers: bool = False,
    residual_dropout: float = 0.0,
) -> Tensor:
    allowed = mask_rule(batch.example_ids, batch.position_ids, batch.is_suffix)
    checkpoint_layers = checkpoint_layers and torch.is_grad_enabled()
    states = embed_tokens(model, batch, checkpoint_layers=checkpoint_layers)
    return run_decoder(
        model,
        states,
        batch.position_ids,
        allowed,
        checkpoint_layers=checkpoint_layers,
        residual_dropout=residual_dropout,
    )
