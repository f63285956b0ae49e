import pytest

from finetune.config.commands import EvaluateCommand, InspectCommand, PredictCommand, ReportCommand


def test_weights_need_a_run() -> None:
    with pytest.raises(ValueError, match="weights=best needs run="):
        EvaluateCommand(weights="best")
    assert EvaluateCommand(run="runs/x", weights="best").weights == "best"


def test_images_and_a_split_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="not both"):
        PredictCommand(images=["a.png"], split="test")


def test_a_question_belongs_to_images_and_replaces_no_prefix() -> None:
    with pytest.raises(ValueError, match="question needs images"):
        PredictCommand(question="how many?")
    with pytest.raises(ValueError, match="give prefix or question"):
        PredictCommand(images=["a.png"], question="how many?", prefix="ocr")


def test_a_server_takes_the_answers_of_a_split() -> None:
    with pytest.raises(ValueError, match="submission needs the samples of a split"):
        PredictCommand(images=["a.png"], submission="answers.json")


def test_a_report_needs_runs_and_a_kind_of_file_that_it_can_write() -> None:
    with pytest.raises(ValueError, match="needs folders of runs"):
        ReportCommand()
    with pytest.raises(ValueError, match=r"to must end in .md for Markdown or in .html for a page, got table.csv"):
        ReportCommand(folders=["runs"], to="table.csv")


def test_a_negative_number_of_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="num_shown must be at least 0"):
        InspectCommand(num_shown=-1)
