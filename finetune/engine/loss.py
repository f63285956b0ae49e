"""The original's loss: cross-entropy on suffix and EOS, summed by example, normalised over the whole window."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from finetune.data.packing import Batch
from finetune.model.forward import vocabulary_logits
from finetune.settings import Normalization

# Scores of one chunk over 257 152 tokens take 1 GiB in fp32; beyond one chunk they are computed again backwards.
_CHUNK_TARGETS = 1024


def per_example_loss_sums(
    model: nn.Module,
    states: Float[Tensor, "targets hidden"],
    batch: Batch,
    *,
    vocabulary_size: int,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " examples"]:
    """Sum each example's token losses in nats; 0 for one without targets.

    Dividing is `example_loss_weights`' work: only the whole window knows by what.

    Args:
        states: What `target_states` returned for this batch.
    """

    def losses(states: Tensor, targets: Tensor) -> Tensor:
        return token_losses(vocabulary_logits(model, states, vocabulary_size), targets, label_smoothing=label_smoothing)

    chunks = list(zip(torch.split(states, _CHUNK_TARGETS), torch.split(batch.targets, _CHUNK_TARGETS), strict=True))
    if len(chunks) == 1:
        by_target = losses(states, batch.targets)
    else:
        by_target = torch.cat([checkpoint(losses, *chunk, use_reentrant=False) for chunk in chunks])
    examples = torch.arange(batch.num_examples, device=states.device)
    # Not index_add, whose order of addition, and so its last digit, differs from run to run on a GPU.
    owned = batch.target_examples == examples[:, None]
    return torch.where(owned, by_target, 0.0).sum(dim=1)


def token_losses(
    logits: Float[Tensor, "targets vocabulary"], targets: Int64[Tensor, " targets"], *, label_smoothing: float = 0.0
) -> Float[Tensor, " targets"]:
    """Return the cross-entropy of each target, in fp32.

    Args:
        label_smoothing: The target's probability is 1 - label_smoothing, the V - 1 others share the rest evenly
            (torch's own definition also gives the target a share).

    Source:
        big_vision trainers/proj/paligemma/train.py, `loss_fn` (0127fb6).
    """
    vocabulary_size = logits.shape[-1]
    torch_smoothing = label_smoothing * vocabulary_size / (vocabulary_size - 1)
    return cross_entropy(logits.float(), targets, reduction="none", label_smoothing=torch_smoothing)


def example_loss_weights(
    batch: Batch, normalization: Normalization, *, num_examples: int, num_targets: int
) -> Float[Tensor, " examples"]:
    """Return the factors that turn loss sums into this batch's share of the window's loss.

    The shares of all batches of a window, over all ranks, add up to the loss: nothing is averaged afterwards.

    Args:
        num_examples: Examples of the whole window, stand-ins not counted.
        num_targets: Targets of the whole window, those of stand-ins not counted.
    """
    if normalization is Normalization.token:
        return batch.example_weights / max(1, num_targets)
    return batch.example_weights / batch.num_targets.clamp(min=1) / max(1, num_examples)
