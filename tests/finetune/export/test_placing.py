"""An export takes its place whole, and never somebody else's."""

from pathlib import Path

import pytest

from finetune.export.placing import placed, require_replaceable
from finetune.export.preprocessing import FILE_NAME


def export(folder: Path, *names: str) -> None:
    with placed(folder) as partial:
        for name in (FILE_NAME, *names):
            (partial / name).write_text(name)


def test_a_second_export_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    export(tmp_path / "to" / "merged", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    export(tmp_path / "to" / "merged", "model.safetensors")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["merged"]
    assert {path.name for path in (tmp_path / "to" / "merged").iterdir()} == {FILE_NAME, "model.safetensors"}


def test_an_export_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    export(tmp_path / "merged", "first")
    with pytest.raises(FileNotFoundError), placed(tmp_path / "merged") as partial:
        (partial / "missing" / "second").write_text("half")
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
    assert (tmp_path / "merged" / "first").exists()


def test_an_empty_folder_may_be_used_and_one_with_other_content_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export(tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for path in (tmp_path / "mine", tmp_path / "mine" / "thesis.tex"):
        with pytest.raises(ValueError, match=f"{path.name} is there already and is no export .*to=<another folder>"):
            export(path)
        with pytest.raises(ValueError, match="no export"):
            require_replaceable(path)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
