from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from finetune.data.packing import Batch
from finetune.evaluate.beam_search import first_beams, search, step
from finetune.evaluate.decoding_rules import DecodingRules
from finetune.types import TokenizedExample

EOS, VOCABULARY_SIZE = 1, 40
RULES = DecodingRules(max_new_tokens=8, num_beams=3, eos_id=EOS, vocabulary_size=VOCABULARY_SIZE)
CPU = torch.device("cpu")


@pytest.fixture
def model(small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    model = small_paligemma(2)
    # Sure of what it says, or the search would always end at once.
    model.model.language_model.norm.weight.data.add_(1).mul_(3).sub_(1)
    return model


@pytest.fixture
def prefixes(random_examples: Callable[..., list[TokenizedExample]]) -> list[TokenizedExample]:
    return [
        replace(one, input_ids=one.input_ids[~one.is_suffix], is_suffix=one.is_suffix[~one.is_suffix])
        for one in random_examples(12)
    ]


def test_batches_of_other_widths_are_searched_together_and_late_flags_change_nothing(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    alone = [search(model, [batch_of([one])], RULES, CPU)[0] for one in prefixes]
    batches = [batch_of(prefixes[:5]), batch_of(prefixes[5:])]
    for is_late in (False, True):
        assert search(model, batches, RULES, CPU, is_late=is_late) == alone
    assert len({len(ids) for ids in alone}) > 2


def test_an_example_that_is_done_keeps_what_it_found_however_long_it_is_computed_along() -> None:
    torch.manual_seed(0)
    beams = first_beams(1, num_beams=2, max_new_tokens=9, like=torch.zeros(1))
    logits = torch.full((2, 5), -9.0)
    logits[:, EOS] = 3
    beams, _ = step(beams, logits, length=0, eos_id=EOS)
    assert not beams.is_searching.item()
    for length in range(1, 9):
        found = beams.found()
        beams, _ = step(beams, torch.randn(2, 5), length=length, eos_id=EOS)
        assert not beams.is_searching.item()
        assert beams.found() == found == [[]]
