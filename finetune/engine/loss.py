"""The original's loss: cross-entropy on suffix and EOS, summed by example, normalised over the whole window."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.engine.linear_cross_entropy import linear_cross_entropy
from finetune.model.forward import head_weight
from finetune.settings import Normalization


def micro_batch_loss(
    model: nn.Module,
    states: Float[Tensor, "targets hidden"],
    batch: Batch,
    weights: Float[Tensor, " examples"],
    *,
    vocabulary_size: int,
    label_smoothing: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, " examples"]]:
    """Return the weighted sum of the examples' losses, and each one's own loss in nats summed over its targets.

    Backward passes run through the first; the second is detached, and 0 for an example without targets.

    Args:
        states: What `target_states` returned for this batch.
        weights: What `example_loss_weights` returned for this batch: only the whole window knows by what to divide.
    """
    share, by_target = linear_cross_entropy(
        states,
        head_weight(model),
        batch.targets,
        weights.index_select(0, batch.target_examples),
        vocabulary_size=vocabulary_size,
        label_smoothing=label_smoothing,
    )
    examples = torch.arange(batch.num_examples, device=states.device)
    # Not index_add, whose order of addition, and so its last digit, differs from run to run on a GPU.
    owned = batch.target_examples == examples[:, None]
    return share, torch.where(owned, by_target, 0.0).sum(dim=1)


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
