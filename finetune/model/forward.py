"""The training forward: a batch of packed examples in, hidden states out.

Mixed formats (frozen weights in bf16, trained ones in fp32) need the caller's `torch.autocast`; without it, only fp32
throughout, or adapters of peft on one base format, work.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.model.attention import MaskRule
from finetune.model.attention_plan import AttentionPlan, Kernel, choose_kernel, plan_attention
from finetune.model.decoder import attention_dtype, attention_soft_cap, language_model, run_planned_decoder
from finetune.model.image_encoder import embed_images
from finetune.settings import Checkpointing


def target_states(
    model: nn.Module,
    batch: Batch,
    *,
    rung: Checkpointing = Checkpointing.none,
    residual_dropout: float = 0.0,
    mask_rule: MaskRule | None = None,
) -> Float[Tensor, "targets hidden"]:
    """Return the states that predict `batch.targets`, in their order, after the final norm.

    Only these positions leave the decoder: the vocabulary is too large to score any other.

    Args:
        rung: What layers that train compute again in the backward pass instead of keeping it.
        residual_dropout: As `run_planned_decoder` takes it; for training alone.
        mask_rule: Given by tests alone, to show what a wrong mask does; None: the best kernel for prefix-LM attention.
    """
    states = _decoded(
        model,
        batch,
        mask_rule,
        wanted_rows=batch.predictor_rows,
        rung=rung,
        residual_dropout=residual_dropout,
    )
    normalized: Tensor = language_model(model).norm(states)
    return normalized


def all_states(
    model: nn.Module, batch: Batch, *, mask_rule: MaskRule | None = None
) -> Float[Tensor, "rows tokens hidden"]:
    """Return the states of all positions after the final norm, for the self-test and for tests."""
    normalized: Tensor = language_model(model).norm(_decoded(model, batch, mask_rule))
    return normalized


def embed_tokens(
    model: nn.Module, batch: Batch, *, rung: Checkpointing = Checkpointing.none
) -> Float[Tensor, "rows tokens hidden"]:
    """Return the decoder's input: text embeddings scaled by sqrt(hidden), image tokens as the connector gives them.

    Source:
        big_vision models/proj/paligemma/paligemma.py, `embed_image_and_text` (0127fb6).
    """
    # A placeholder's id may lie outside the embedding table; what is looked up in its place is overwritten.
    text_ids = batch.input_ids.flatten().index_fill(0, batch.image_rows, 0)
    text: Tensor = language_model(model).embed_tokens(text_ids)
    images = embed_images(model, batch, rung=rung)
    if len(batch.shown) != len(images):
        # Not index_select, whose backward pass adds what one image gets in an order that differs from run to run.
        images = images[batch.shown]
    return text.index_copy(0, batch.image_rows, images.flatten(0, 1).to(text.dtype)).view(*batch.input_ids.shape, -1)


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


def head_weight(model: nn.Module) -> Float[Tensor, "table hidden"]:
    """Return the output head's weight, which is the embedding table, for a loss that never calls the head.

    Raises:
        ValueError: If the head is more than one matrix, such as one with an adapter.
    """
    head: Any = model.lm_head
    if type(head) is not nn.Linear or head.bias is not None:
        raise ValueError(
            f"the output head must be the embedding table, got {type(head).__name__}: an adapter on lm_head cannot be "
            "trained; put it on other layers, or train the embeddings in full"
        )
    weight: Tensor = head.weight
    return weight


def _decoded(
    model: nn.Module,
    batch: Batch,
    mask_rule: MaskRule | None,
    *,
    wanted_rows: Tensor | None = None,
    rung: Checkpointing = Checkpointing.none,
    residual_dropout: float = 0.0,
) -> Tensor:
    states = embed_tokens(model, batch, rung=rung)
    return run_planned_decoder(
        model,
        states,
        batch.position_ids,
        _plan(model, batch, mask_rule),
        wanted_rows=wanted_rows,
        rung=rung,
        residual_dropout=residual_dropout,
    )


def _plan(model: nn.Module, batch: Batch, mask_rule: MaskRule | None) -> AttentionPlan:
    if mask_rule is not None:
        return plan_attention(batch, Kernel.masked, mask_rule)
    device = batch.input_ids.device
    soft_cap = attention_soft_cap(language_model(model).layers[0].self_attn)
    return plan_attention(batch, choose_kernel(batch.layout.arrangement, device, attention_dtype(model), soft_cap))
