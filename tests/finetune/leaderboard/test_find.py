from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.leaderboard.find import find_results


def refuse(message: str) -> None:
    raise AssertionError(message)


def names(*given: object, warn: Callable[[str], None] = refuse) -> list[str]:
    return [result.name for result in find_results([str(one) for one in given], warn)]


def test_runs_are_found_by_name_by_pattern_and_in_a_folder_each_once(left: Callable[..., Path], tmp_path: Path) -> None:
    first, second = left("first"), left("second")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    assert names(second, first) == ["second", "first"]
    assert names(tmp_path) == names(f"{tmp_path}/*d", f"{tmp_path}/f*")[::-1] == ["first", "second"]
    assert names(second, tmp_path) == ["second", "first"]


def test_evaluations_follow_their_run_and_stand_alone_where_a_base_model_was_scored(
    left: Callable[..., Path], tmp_path: Path
) -> None:
    left("run/evaluations/test-step-00000010")
    left("base/evaluations/val-base")
    run = left("run")
    assert names(run) == ["run", "run/test-step-00000010"]
    assert names(tmp_path / "base") == ["base/val-base"]
    assert names(tmp_path) == ["base/val-base", "run", "run/test-step-00000010"]


def test_runs_of_one_name_are_told_apart_by_their_paths(
    left: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left("a/run"), left("b/run")
    monkeypatch.chdir(tmp_path)
    assert names("a/run", "b") == ["a/run", "b/run"]
    monkeypatch.chdir("a/run")
    assert names(".") == ["run"]


def test_a_damaged_run_is_left_out_by_name_unless_it_was_named_itself(
    left: Callable[..., Path], tmp_path: Path
) -> None:
    left("whole"), left("whole/evaluations/test")
    cut, evaluation = left("cut"), left("whole/evaluations/val")
    for folder in (cut, evaluation):
        (folder / "run.json").write_text("{")
    for given in (tmp_path, tmp_path / "*"):
        told: list[str] = []
        assert names(given, warn=told.append) == ["whole", "whole/test"]
        assert [message.partition(" is damaged")[0] for message in told] == [str(cut), str(evaluation)]
    assert names(tmp_path / "whole", warn=[].append) == ["whole", "whole/test"]
    for folder in (cut, evaluation):
        with pytest.raises(ValueError, match=f"{folder} is damaged"):
            names(tmp_path, folder, warn=[].append)
    with pytest.raises(ValueError, match="no run that can be read"):
        names(tmp_path / "c*", warn=[].append)


def test_what_is_no_run_and_holds_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: there is no such folder"):
        names(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: neither a run nor a folder that holds some"):
        names(tmp_path / "empty")
