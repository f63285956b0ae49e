from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.leaderboard.run_result import is_run, read_result, shares_rows
from finetune.reporting.run_folder import RunFolder


def test_the_last_evaluation_of_a_run_is_its_result(left: Callable[..., Path]) -> None:
    result = read_result(left(), "run")
    assert (result.experiment, result.model, result.image_size, result.split) == ("docvqa", "paligemma-3b", 448, "val")
    assert result.scores == {"ANLS": 0.75, "exact_match": 0.5}
    assert (result.num_samples, result.doubts) == (3, ())
    assert result.dataset == "datasets_adapters.published.docvqa.DocVqa"
    assert result.base == "google/paligemma-3b-pt-448 (PaliGemma 1)"


def test_what_keeps_scores_from_being_compared_is_told(left: Callable[..., Path]) -> None:
    folder = left(evaluation={"num_samples": 4}, code=75, trained_split="train+val")
    assert read_result(folder, "run").doubts == (
        "not finished",
        "evaluation.num_samples=4",
        "trained on what it is scored on (train+val)",
    )


def test_what_the_scores_leave_out_is_told(left: Callable[..., Path]) -> None:
    path = left(dataset={"skip_missing_videos": True})
    folder = RunFolder(path=path)
    for sample_id, step in (("before", 9), ("a", 10), ("b", 10), ("a", 10)):
        folder.append_skip({"origin": "val.jsonl:3", "sample_id": sample_id}, step)
    assert read_result(path, "run").doubts == ("dataset.skip_missing_videos=true", "2 samples skipped")


def test_videos_left_out_of_a_part_of_a_mixture_are_told(left: Callable[..., Path]) -> None:
    path = left()
    description = RunFolder(path=path).read_description()
    parts = {"own": {"dataset": {"skip_missing_videos": True}}, "shared": {"dataset": None}}
    description["config"]["recipe"] = {"parts": parts}
    RunFolder(path=path).write_description(description)
    assert read_result(path, "run").doubts == ("dataset.skip_missing_videos=true",)


def test_a_run_that_goes_on_and_was_not_evaluated_yet_has_no_scores(left: Callable[..., Path]) -> None:
    folder = left()
    for name in ("metrics.jsonl", "exit_status.json"):
        (folder / name).unlink()
    result = read_result(folder, "run")
    assert (result.scores, result.num_samples, result.doubts) == ({}, 0, ("not finished",))


def test_a_run_of_an_earlier_version_says_what_it_knows(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"config": {"dataset": {"eval_split": "eval"}}}')
    (tmp_path / "exit_status.json").write_text('{"exit_code": 0}')
    result = read_result(tmp_path, "old")
    assert (result.experiment, result.model, result.image_size, result.split) == (None, None, None, "eval")
    assert result.doubts == ("not finished",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", '{"subject": {"image_size": "448"}}'),
        ("run.json", '{"subject": {"experiment": ["docvqa"]}}'),
        ("metrics.jsonl", '{"loss": 1}\n'),
        ("skips.jsonl", "{\n"),
    ],
)
def test_a_damaged_run_is_named(left: Callable[..., Path], name: str, text: str) -> None:
    folder = left()
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=f"{folder} is damaged, or was written by another version"):
        read_result(folder, "run")


def test_a_folder_with_a_description_is_a_run(left: Callable[..., Path], tmp_path: Path) -> None:
    assert is_run(left())
    assert not is_run(tmp_path)


@pytest.mark.parametrize(
    ("trained", "scored", "expected"),
    [
        ("train", "val", False),
        ("train+val", "val", True),
        ("train+val[:-10240]", "val[-10240:]", False),
        ("train+val[:-10240]", "val", True),
        ("train[:98%] + restval", "restval", True),
        ("", "val", False),
    ],
)
def test_two_splits_share_rows_where_one_of_them_has_the_others_whole(
    trained: str, scored: str, expected: bool
) -> None:
    assert shares_rows(trained, scored) is expected
