"""Each wording in turn."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.types import Sample
from recipes.turns import in_turn

SAMPLE = Sample(sample_id="7", origin="", images=())


def _heard(options: str, num_visits: int, sample_id: str = "7") -> list[str]:
    visits = [replace(SAMPLE, sample_id=sample_id, visit=visit) for visit in range(num_visits)]
    return [in_turn(options, sample) for sample in visits]


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(0, 40), st.text(max_size=5))
def test_each_option_comes_once_in_every_round_and_never_twice_before_all_have_come(
    count: int, first_round: int, sample_id: str
) -> None:
    options = [str(number) for number in range(count)]
    visits = range(first_round * count, (first_round + 1) * count)
    heard = [in_turn(options, replace(SAMPLE, sample_id=sample_id, visit=visit)) for visit in visits]
    assert sorted(heard) == sorted(options)


def test_every_round_and_every_sample_has_an_order_of_its_own() -> None:
    heard = _heard("abcde", 100)
    assert len({tuple(heard[start : start + 5]) for start in range(0, 100, 5)}) > 15
    assert len({tuple(_heard("abcde", 5, sample_id=str(number))) for number in range(40)}) > 20


def test_an_option_that_was_given_twice_has_two_turns() -> None:
    assert Counter(_heard("aab", 30)) == {"a": 20, "b": 10}


def test_the_turns_are_the_same_in_every_process_and_version() -> None:
    assert _heard("abcde", 10) == list("cdeabecdab")
