"""`finetune report` as it is typed, on runs that the command line trained."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli
from finetune.reporting.run_folder import RunFolder


def test_a_trained_run_and_its_evaluations_have_rows(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "table.md"
    finetune("report", f"{trained_run.parent}/*", f"to={to}")
    printed = capsys.readouterr().out
    assert f"table: {to}" in printed
    row = next(line for line in to.read_text().splitlines() if line.startswith("| small |"))
    assert row.startswith(r"| small | – | tiny\_random (PaliGemma 2) | 28 | eval | mAP |")
    assert row.endswith("| – | – | 6 |  |"), "all six samples, a finished run, nothing published"


def test_what_was_trained_and_evaluated_is_recorded(trained_run: Path, finetune: Callable[..., None]) -> None:
    assert RunFolder(path=trained_run).read_description()["subject"] == {
        "experiment": None,
        "model": None,
        "image_size": 28,
        "split": "eval",
        "trained_split": "train",
    }
    finetune("evaluate", f"run={trained_run}", "split=train", "evaluation.num_samples=2")
    [folder] = (trained_run / "evaluations").glob("train-step-00000004-*")
    subject = RunFolder(path=folder).read_description()["subject"]
    assert (subject["split"], subject["trained_split"]) == ("train", "train")


def test_the_experiment_of_a_run_is_recorded_and_set_beside_the_paper(
    repository: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    root = repository / "tests" / "assets" / "published" / "vqav2"
    small = ["model=tiny", "model.image_size=28", "debug=smoke", "training.max_steps=1", "self_test.enabled=false"]
    finetune("train", "experiment=vqav2", f"dataset.root={root}", f"runs={tmp_path}", "name=questions", *small)
    html = (tmp_path / "questions" / "report.html").read_text()
    assert "<h2>Beside the paper</h2>" in html
    assert "<td>82.10</td><td>–</td>" in html
    capsys.readouterr()
    finetune("report", str(tmp_path / "questions"), f"to={tmp_path}/page.html")
    told = " ".join(capsys.readouterr().out.split())
    assert "evaluation.num_samples=2; the figure is of paligemma-3b; the figure is at 224 pixels" in told
    assert "<td>vqav2</td>" in (tmp_path / "page.html").read_text()


def test_a_run_that_is_scored_on_another_data_set_is_not_compared(
    repository: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    published = repository / "tests" / "assets" / "published"
    small = ["model=tiny", "model.image_size=28", "debug=smoke", "training.max_steps=1", "self_test.enabled=false"]
    finetune("train", "experiment=cococap", f"dataset.root={published / 'cococap'}", f"runs={tmp_path}", *small)
    [run] = tmp_path.iterdir()
    for choice in ("dataset", "experiment"):
        finetune("evaluate", f"run={run}", f"{choice}=nocaps", f"dataset.root={published / 'nocaps'}")
    capsys.readouterr()
    finetune("report", str(run), f"to={tmp_path}/table.md")
    own, *others = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert "| 141.92 |" in own
    assert sorted(line.split(" | ")[1] + line.split(" | ")[7] for line in others) == ["cococap141.92", "nocaps121.72"]
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("the figure is of CocoCaptions, not of NoCaps") == 1


def test_samples_that_were_skipped_are_told(
    repaired_dataset: list[str], tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (tmp_path / "val.jsonl").read_text()
    (tmp_path / "val.jsonl").write_text(rows.replace("a.png", "gone.png", 2))
    runs = tmp_path / "runs"
    finetune("evaluate", f"runs={runs}", "name=base", "data.on_bad_sample=skip", *repaired_dataset)
    capsys.readouterr()
    finetune("report", str(runs))
    assert "(mAP): 2 samples skipped" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_run_among_others_is_left_out_by_name(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "run.json").write_text("{")
    finetune("report", str(trained_run), str(tmp_path))
    told = capsys.readouterr()
    assert "small" in told.out
    assert f"warning: left out: {tmp_path}/cut is damaged" in told.err
    assert cli.run(["report", str(trained_run), f"{tmp_path}/cut"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "finetune report needs folders of runs"),
        (["nowhere"], "nowhere: there is no such folder"),
        (["runs", "seed=3"], "unknown setting seed; known: folders, to"),
        (["runs", "to=table.csv"], "to must end in .md for Markdown or in .html for a page, got table.csv"),
    ],
)
def test_a_mistake_is_answered(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", *words]) == 2
    assert message in capsys.readouterr().err
