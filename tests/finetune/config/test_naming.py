from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.config.naming import as_file_name, job_name, run_name

CHOICES = {"recipe": "detection", "dataset": "voc", "model": "tiny", "peft": "lora", "schedule": "cosine"}


def test_a_run_is_named_after_its_choices_and_seed() -> None:
    assert run_name(CHOICES, 3) == "detection-voc-tiny-lora-seed3"


def test_jobs_that_differ_in_what_the_name_tells_need_nothing_more() -> None:
    assert job_name("detection-voc-tiny-lora-seed3", ["seed=3", "model=tiny"], is_derived=True) == (
        "detection-voc-tiny-lora-seed3"
    )


def test_jobs_that_differ_elsewhere_say_so() -> None:
    assert job_name("x", ["seed=3", "training.max_steps=9"], is_derived=True) == "x-training.max_steps=9"


def test_a_name_of_the_users_own_is_told_apart_by_everything() -> None:
    assert job_name("mine", ["name=mine", "seed=3"], is_derived=False) == "mine-seed=3"


def test_the_order_of_overrides_does_not_matter() -> None:
    assert job_name("x", ["a.b=1", "c.d=2"], is_derived=True) == job_name("x", ["c.d=2", "a.b=1"], is_derived=True)


@given(st.lists(st.text(max_size=300), min_size=2, max_size=5, unique=True))
def test_no_two_jobs_share_a_folder_and_every_name_is_one_folder(values: list[str]) -> None:
    names = [job_name("x", [f"dataset.folder={value}"], is_derived=True) for value in values]
    assert all(first != second for first, second in combinations(names, 2))
    assert all("/" not in name and "\0" not in name and len(name.encode()) < 255 for name in names)


@pytest.mark.parametrize("text", ["../other", "a/b", "train[:10%]", "x" * 300, "\0"])
def test_any_text_becomes_part_of_one_name(text: str) -> None:
    name = as_file_name(text)
    assert name != text
    assert "/" not in name
    assert len(name) < 150
    assert as_file_name("test-2") == "test-2"


def test_short_runs_for_debugging_have_a_folder_of_their_own() -> None:
    assert run_name({**CHOICES, "experiment": None, "debug": "one_step"}, 0) == "detection-voc-tiny-lora-one_step-seed0"
