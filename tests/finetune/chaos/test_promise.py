"""What was tried and held is counted, and what was not tried never counts as held."""

import json
from pathlib import Path

import pytest

from finetune.chaos.promise import Promise
from finetune.chaos.record import is_kept, print_promises, write_record


def promise(**given: object) -> Promise:
    return Promise(fault="kills", text="nothing is lost", **given)  # type: ignore[arg-type]


def test_a_promise_is_kept_only_if_it_held_every_time() -> None:
    one = promise()
    assert not one.is_kept
    assert one.note([], "first", times=5)
    assert one.is_kept
    assert not one.note(["a loss differs"], "second", times=3)
    assert (one.tried, one.held, one.problems) == (8, 5, ["second: a loss differs"])
    assert one.is_broken
    assert not one.is_kept


def test_a_problem_counts_even_where_nothing_was_counted() -> None:
    one = promise()
    one.note(["it did not start"], "first", times=0)
    assert (one.tried, one.held) == (1, 0)


def test_nothing_tried_is_not_kept_and_something_not_tried_does_not_break_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untried = promise(not_tried="no disk may be mounted here")
    assert not is_kept([untried])
    tried = promise()
    tried.note([], "first")
    assert is_kept([untried, tried])
    tried.note(["a loss differs"], "second")
    assert not is_kept([untried, tried])
    write_record(tmp_path / "found.json", [untried, tried], {"run": {"name": "cells"}})
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["kept"], found["promises"][0]["tried"], found["promises"][1]["held"]) == (False, 0, 1)
    print_promises([untried, tried])
    said = capsys.readouterr().out
    assert "not tried: kills: no disk may be mounted here" in said
    assert "did not hold: kills: second: a loss differs" in said
