"""The original's beam search, for many examples at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.evaluate.decoding_rules import DecodingRules, worth_handing_on
from finetune.evaluate.look_behind import LookBehind
from finetune.model.decoding import KeyValueCache, empty_cache, extend, read_into
from finetune.model.forward import vocabulary_logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Beams:
    """Where the search stands for each example.

    Args:
        sequences: The ids of the live hypotheses; the first `length` columns are said.
        scores: Their sums of log-probabilities, best first.
        best: The ids of the best finished hypothesis, without EOS; its first `best_lengths` columns count.
        best_scores: Its score with EOS; -inf where none is finished.
    """

    sequences: Int64[Tensor, "examples beams limit"]
    scores: Float[Tensor, "examples beams"]
    best: Int64[Tensor, "examples limit"]
    best_lengths: Int64[Tensor, " examples"]
    best_scores: Float[Tensor, " examples"]

    @property
    def is_searching(self) -> Bool[Tensor, " examples"]:
        """Whether a live hypothesis, which can only lose from here, may still beat the best finished one."""
        return self.scores[:, 0] >= self.best_scores

    def select(self, examples: Int64[Tensor, " selected"]) -> "Beams":
        """Return the state of some examples."""
        return Beams(**{field.name: getattr(self, field.name).index_select(0, examples) for field in fields(Beams)})

    def found(self) -> list[list[int]]:
        """Return the ids of the best finished hypotheses; nothing where none was finished."""
        return [ids[:length] for ids, length in zip(self.best.tolist(), self.best_lengths.tolist(), strict=True)]


def first_beams(num_examples: int, *, num_beams: int, max_new_tokens: int, like: Tensor) -> Beams:
    """Return the beginning of a search. `like` is a tensor of scores."""
    ids = torch.zeros((num_examples, num_beams, max_new_tokens), dtype=torch.int64, device=like.device)
    # All beams start as the same empty hypothesis; only the first may count.
    scores = like.new_full((num_examples, num_beams), -torch.inf)
    scores[:, 0] = 0.0
    return Beams(
        sequences=ids,
        scores=scores,
        best=ids[:, 0].clone(),
        best_lengths=ids[:, 0, 0].clone(),
        best_scores=like.new_full((num_examples,), -torch.inf),
    )


def step(
    beams: Beams, logits: Float[Tensor, "rows vocabulary"], *, length: int, eos_id: int
) -> tuple[Beams, Int64[Tensor, "examples beams"]]:
    """Say one more id in each live hypothesis; return the new beams, and which of the old ones each continues.

    Asks of every live hypothesis what it scores if it ends now, remembers the best finished one of each example, and
    lives on with the best continuations: by the sum of log-probabilities, without a length penalty. An example that is
    not searching any more only loses from here, so that computing it along with the others changes nothing.

    Args:
        logits: What each hypothesis may say next, example by example.
        length: How many ids each has said.

    Source:
        big_vision trainers/proj/paligemma/predict_fns.py, `_beam_decode` (0127fb6).
    """
    log_probs = logits.log_softmax(dim=-1).view(*beams.scores.shape, -1)
    finished_scores, finished_beams = (beams.scores + log_probs[..., eos_id]).max(dim=1)
    is_better = finished_scores > beams.best_scores
    finished = _take(beams.sequences, finished_beams[:, None])[:, 0]
    log_probs[..., eos_id] = -torch.inf
    scores, choices = (beams.scores[..., None] + log_probs).flatten(1).topk(beams.scores.shape[1])
    parents, ids = choices // log_probs.shape[-1], choices % log_probs.shape[-1]
    sequences = _take(beams.sequences, parents)
    sequences[..., length] = ids
    continued = Beams(
        sequences=sequences,
        scores=scores,
        best=torch.where(is_better[:, None], finished, beams.best),
        best_lengths=torch.where(is_better, length, beams.best_lengths),
        best_scores=torch.maximum(beams.best_scores, finished_scores),
    )
    return continued, parents


def _take(sequences: Tensor, parents: Tensor) -> Tensor:
    """Return each new beam's parent: [examples, beams, ids] by [examples, beams]."""
    return sequences.gather(1, parents[..., None].expand(-1, -1, sequences.shape[2]))


@torch.no_grad()
def search(
    model: nn.Module,
    batches: Sequence[Batch],
    rules: DecodingRules,
    device: torch.device,
    *,
    is_late: bool | None = None,
) -> list[list[int]]:
    """Search for the likeliest ids that end with EOS, for all prefixes of some batches at once.

    Args:
        is_late: As for `LookBehind`: it says when examples that are done are found out. None: what suits the device.

    Raises:
        ValueError: If prefixes are packed or carry a suffix.
    """
    num_beams = rules.num_beams
    cache, logits = _read(model, batches, rules, device)
    first_column, owners = min(cache.num_read), list(range(len(logits)))
    copies = [owner for owner in owners for _ in range(num_beams)]
    cache, logits = cache.select(copies), logits[copies]
    beams = first_beams(len(owners), num_beams=num_beams, max_new_tokens=rules.max_new_tokens, like=logits)
    arrivals: LookBehind[int] = LookBehind(is_late=device.type != "cpu" if is_late is None else is_late)
    found: dict[int, list[int]] = {}
    done: set[int] = set()
    for length in range(rules.max_new_tokens):
        beams, parents = step(beams, logits, length=length, eos_id=rules.eos_id)
        arrivals.post(owners, beams.is_searching)
        done.update(owner for owner, is_searching in arrivals.arrived() if not is_searching)
        kept = [place for place, owner in enumerate(owners) if owner not in done]
        if not kept or length + 1 == rules.max_new_tokens:
            break
        if len(owners) - len(kept) >= worth_handing_on(len(owners)):
            found.update(zip(owners, beams.found(), strict=True))
            owners, index = [owners[place] for place in kept], torch.tensor(kept, device=device)
            beams, parents = beams.select(index), parents.index_select(0, index)
            cache = cache.select([place * num_beams + beam for place in kept for beam in range(num_beams)])
        first_rows = torch.arange(len(owners), device=device)[:, None] * num_beams
        cache.reorder((first_rows + parents).flatten(), first_column)
        states = extend(model, cache, beams.sequences[..., length].flatten())
        logits = vocabulary_logits(model, states, rules.vocabulary_size)
    found.update(zip(owners, beams.found(), strict=True))
    return [found[owner] for owner in sorted(found)]


def _read(
    model: nn.Module, batches: Sequence[Batch], rules: DecodingRules, device: torch.device
) -> tuple[KeyValueCache, Float[Tensor, "examples vocabulary"]]:
    """Read the prefixes of all batches into one cache."""
    width = max(batch.input_ids.shape[1] for batch in batches)
    cache = empty_cache(sum(batch.num_examples for batch in batches), width + rules.max_new_tokens, device)
    states, first_row = [], 0
    for batch in batches:
        rows = range(first_row, first_row + batch.num_examples)
        states.append(read_into(model, batch, cache, rows))
        first_row = rows.stop
    return cache, vocabulary_logits(model, torch.cat(states), rules.vocabulary_size)
