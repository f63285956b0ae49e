import json
from pathlib import Path

import pytest

from finetune.reporting.prediction_file import growing_predictions, write_predictions
from finetune.reporting.rows import PredictionRow


def row(sample_id: str, thumbnail_jpeg: bytes | None = None) -> PredictionRow:
    return PredictionRow(
        sample_id=sample_id, prefix="p", text="t", reference="", score=None, thumbnail_jpeg=thumbnail_jpeg
    )


def test_predictions_can_be_written_anywhere(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "somewhere" / "mine.jsonl", [row("a", b"1")])
    line = json.loads(path.read_text(encoding="utf-8"))
    assert (line["id"], line["thumbnail"]) == ("a", "mine/00000.jpg")


def test_a_line_is_in_its_file_as_soon_as_it_is_written_and_stays_there_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "somewhere" / "mine.jsonl"

    def break_off() -> None:
        with growing_predictions(path) as write:
            for number, sample_id in enumerate("ab", start=1):
                write(row(sample_id))
                assert path.read_text(encoding="utf-8").count("\n") == number
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()] == ["a", "b"]


def test_a_file_that_grows_is_in_the_end_as_one_written_at_once_and_replaces_what_was_there(tmp_path: Path) -> None:
    rows = [row("a", b"1"), row("b"), row("c", b"3")]
    once = write_predictions(tmp_path / "once" / "mine.jsonl", rows)
    grown = tmp_path / "grown" / "mine.jsonl"
    write_predictions(grown, [row("old", b"0")] * 5)
    with growing_predictions(grown) as write:
        for one in rows:
            write(one)
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (once.parent, grown.parent)
    ]
    assert contents[0] == contents[1]


def test_a_folder_of_the_same_name_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "cells" / "checkpoints" / "weights"
    own.parent.mkdir(parents=True)
    own.write_text("a week of work", encoding="utf-8")
    write_predictions(tmp_path / "cells.jsonl", [row("a", b"jpeg")])
    write_predictions(tmp_path / "cells.jsonl", [row("a")])
    assert own.read_text(encoding="utf-8") == "a week of work"
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == ["checkpoints"]


def test_without_a_path_lines_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with growing_predictions(None) as write:
        write(row("a", b"1"))
        assert json.loads(capsys.readouterr().out)["thumbnail"] is None
