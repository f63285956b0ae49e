"""From prefixes to token ids: greedy decoding, and the original's beam search.

Both take a whole batch through a key-value cache and leave finished examples behind.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.model.decoding import KeyValueCache, evaluating, extend, read_prefixes
from finetune.model.forward import vocabulary_logits

Advance = Callable[[KeyValueCache, Tensor], Tensor]
"""Read one id [rows] in each row of the cache; return the logits [rows, vocabulary] of what follows."""


def generate(
    model: nn.Module, batch: Batch, *, max_new_tokens: int, num_beams: int, eos_id: int, vocabulary_size: int
) -> list[list[int]]:
    """Continue each prefix until EOS; return the new ids without EOS, one list for each row.

    Args:
        batch: One prefix a row, padded on the right, without suffix.
        max_new_tokens: Limit for one row. Greedy decoding stops there with or without EOS; beam search only returns
            what it could end with EOS in time.
        num_beams: 1 decodes greedily; more keep so many live hypotheses.
        vocabulary_size: Ids from here on are never produced.

    Raises:
        ValueError: If prefixes are packed or carry a suffix.
    """

    def advance(cache: KeyValueCache, ids: Tensor) -> Tensor:
        return vocabulary_logits(model, extend(model, cache, ids), vocabulary_size)

    with evaluating(model), torch.no_grad():
        states, cache = read_prefixes(model, batch, max_new_tokens=max_new_tokens)
        logits = vocabulary_logits(model, states, vocabulary_size)
        if num_beams == 1:
            return _greedy(advance, logits, cache, max_new_tokens=max_new_tokens, eos_id=eos_id)
        return _beam_search(advance, logits, cache, max_new_tokens=max_new_tokens, num_beams=num_beams, eos_id=eos_id)


def _greedy(
    advance: Advance,
    logits: Float[Tensor, "rows vocabulary"],
    cache: KeyValueCache,
    *,
    max_new_tokens: int,
    eos_id: int,
) -> list[list[int]]:
    """Take the likeliest id again and again."""
    outputs: list[list[int]] = [[] for _ in logits]
    owners = list(range(len(outputs)))
    for num_left in reversed(range(max_new_tokens)):
        ids = logits.argmax(dim=-1)
        alive = (ids != eos_id).nonzero()[:, 0]
        if len(alive) < len(ids):
            owners = [owners[row] for row in alive.tolist()]
            ids, cache = ids[alive], cache.select(alive)
        for owner, new_id in zip(owners, ids.tolist(), strict=True):
            outputs[owner].append(new_id)
        if not owners or not num_left:
            break
        logits = advance(cache, ids)
    return outputs


def _beam_search(
    advance: Advance,
    logits: Float[Tensor, "rows vocabulary"],
    cache: KeyValueCache,
    *,
    max_new_tokens: int,
    num_beams: int,
    eos_id: int,
) -> list[list[int]]:
    """Search for the likeliest ids that end with EOS: by the sum of log-probabilities, without a length penalty.

    Each step asks of every live hypothesis what it scores if it ends now, remembers the best finished one of each
    example, and lives on with the best `num_beams` continuations. An example is done when its best live hypothesis,
    which can only lose from there, scores below its best finished one.

    Source:
        big_vision trainers/proj/paligemma/predict_fns.py, `_beam_decode` (0127fb6).
    """
    best: list[list[int]] = [[] for _ in logits]
    owners = torch.arange(len(best), device=logits.device)
    best_scores = logits.new_full((len(best),), -torch.inf)
    # All beams start as the same empty hypothesis; only the first may count.
    scores = logits.new_full((len(best), num_beams), -torch.inf)
    scores[:, 0] = 0.0
    sequences = owners.new_empty((len(best), num_beams, 0))
    copies = owners.repeat_interleave(num_beams)
    logits, cache = logits[copies], cache.select(copies)
    for num_left in reversed(range(max_new_tokens)):
        log_probs = logits.log_softmax(dim=-1).view(*scores.shape, -1)
        finished_scores, finished_beams = (scores + log_probs[..., eos_id]).max(dim=1)
        for index in (finished_scores > best_scores).nonzero()[:, 0].tolist():
            best[owners[index]] = sequences[index, finished_beams[index]].tolist()
        best_scores = torch.maximum(best_scores, finished_scores)
        log_probs[..., eos_id] = -torch.inf
        scores, choices = (scores[..., None] + log_probs).flatten(1).topk(num_beams)
        parents, ids = choices // log_probs.shape[-1], choices % log_probs.shape[-1]
        sequences = torch.cat([_take(sequences, parents), ids[..., None]], dim=2)
        searching = scores[:, 0] >= best_scores
        if not num_left or not searching.any():
            break
        first_rows = torch.arange(len(parents), device=parents.device)[:, None] * num_beams
        cache = cache.select((first_rows + parents)[searching].flatten())
        owners, best_scores, scores, sequences = (x[searching] for x in (owners, best_scores, scores, sequences))
        logits = advance(cache, ids[searching].flatten())
    return best


def _take(sequences: Tensor, parents: Tensor) -> Tensor:
    """Return each new beam's parent: [examples, beams, ids] by [examples, beams]."""
    return sequences.gather(1, parents[..., None].expand(-1, -1, sequences.shape[2]))
