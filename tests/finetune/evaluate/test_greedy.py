from collections.abc import Callable

import pytest
import torch
from torch import nn

from finetune.data.packing import Batch
from finetune.evaluate.decoding_rules import DecodingRules
from finetune.evaluate.generate import generate
from finetune.evaluate.greedy import GreedyRows
from finetune.types import TokenizedExample

EOS, VOCABULARY_SIZE = 1, 40
RULES = DecodingRules(max_new_tokens=9, num_beams=1, eos_id=EOS, vocabulary_size=VOCABULARY_SIZE)


@pytest.fixture
def model(small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    model = small_paligemma(1)
    # Rows then finish at different steps.
    model.get_input_embeddings().weight.data[EOS] *= 2
    return model


@pytest.fixture
def prefixes(random_examples: Callable[..., list[TokenizedExample]]) -> list[TokenizedExample]:
    shown = [(one, ~one.is_suffix) for one in random_examples(12)]
    return [
        TokenizedExample(
            sample_id=one.sample_id,
            input_ids=one.input_ids[is_shown],
            is_suffix=one.is_suffix[is_shown],
            num_image_tokens=one.num_image_tokens,
        )
        for one, is_shown in shown
    ]


@pytest.mark.parametrize("is_late", [False, True])
def test_reading_ids_late_changes_none_of_them(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch], is_late: bool
) -> None:
    rules = {"max_new_tokens": 9, "num_beams": 1, "eos_id": EOS, "vocabulary_size": VOCABULARY_SIZE}
    expected = generate(model, batch_of(prefixes), **rules)
    rows = GreedyRows[int](model, RULES, num_rows=5, device=torch.device("cpu"), is_late=is_late)
    waiting, said = list(range(len(prefixes))), {}
    while waiting or rows.is_busy:
        admitted, waiting = waiting[: rows.num_free], waiting[rows.num_free :]
        if admitted:
            rows.admit(batch_of([prefixes[index] for index in admitted]), admitted)
        else:
            rows.drop_free()
        said.update(rows.run())
    assert [said[index] for index in range(len(prefixes))] == expected
    assert len({len(ids) for ids in expected}) > 2


def test_a_longer_prefix_than_the_first_ones_finds_room(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    by_length = sorted(prefixes, key=lambda one: len(one.input_ids))
    rules = DecodingRules(max_new_tokens=55, num_beams=1, eos_id=-1, vocabulary_size=VOCABULARY_SIZE)
    rows = GreedyRows[str](model, rules, num_rows=2, device=torch.device("cpu"))
    rows.admit(batch_of(by_length[:1]), ["short"])
    rows.admit(batch_of(by_length[-1:]), ["long"])
    said = dict(rows.run())
    for name, prefix in (("short", by_length[0]), ("long", by_length[-1])):
        alone = generate(
            model, batch_of([prefix]), max_new_tokens=55, num_beams=1, eos_id=-1, vocabulary_size=VOCABULARY_SIZE
        )
        assert said[name] == alone[0]
