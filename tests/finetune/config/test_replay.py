import json
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from finetune.config.replay import OVERRIDES_FILE, CommandLine, quoted, replayed, save_command_line

STORED = ["dataset=voc", "dataset.folder=cells", "training.max_steps=9", "seed=3", "name=old", "model=tiny"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "cells"
    folder.mkdir(parents=True)
    save_command_line(folder, CommandLine(overrides=tuple(STORED)))
    return folder


def test_without_a_run_nothing_changes() -> None:
    assert replayed(["seed=1"]) == ["seed=1"]


def test_the_runs_own_overrides_come_first_and_its_place_from_the_folder(folder: Path) -> None:
    words = [f"run={quoted(str(folder))}", "evaluation.num_beams=4"]
    kept = [override for override in STORED if override != "name=old"]
    assert replayed(words) == [*kept, f"runs='{folder.parent}'", "name='cells'", *words]


def test_a_group_chosen_again_takes_its_stored_settings_along(folder: Path) -> None:
    overrides = replayed([f"run={quoted(str(folder))}", "dataset=coco"])
    assert "dataset=voc" not in overrides
    assert "dataset.folder=cells" not in overrides
    assert "training.max_steps=9" in overrides


def test_a_setting_given_again_replaces_the_stored_one(folder: Path) -> None:
    overrides = replayed([f"run={quoted(str(folder))}", "seed=4"])
    assert [override for override in overrides if override.startswith("seed")] == ["seed=4"]


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such folder"):
        replayed([f"run={quoted(str(tmp_path / 'nowhere'))}"])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the folder of a run"):
        replayed([f"run={quoted(str(tmp_path))}"])


@pytest.mark.parametrize("text", ["", "[]", '{"overrides": 3}', '{"overrides": [3]}', "{"])
def test_a_damaged_file_is_refused(folder: Path, text: str) -> None:
    (folder / OVERRIDES_FILE).write_text(text)
    with pytest.raises(ValueError, match="is damaged"):
        replayed([f"run={quoted(str(folder))}"])


@pytest.mark.parametrize(
    "override",
    ["hydra.callbacks.x._target_=os.system", "+hydra.callbacks.x._target_=os.system", "+recipe@hydra.callbacks.x=ocr"],
)
def test_a_stored_run_cannot_change_hydra(folder: Path, override: str) -> None:
    save_command_line(folder, CommandLine(overrides=(override,)))
    with pytest.raises(ValueError, match="may not change Hydra"):
        replayed([f"run={quoted(str(folder))}"])


def test_the_file_is_plain_json(folder: Path) -> None:
    assert json.loads((folder / OVERRIDES_FILE).read_text())["overrides"] == STORED


@example("it's")
@example("a\\'")
@example("a\\\\'b\\c")
@given(st.text(alphabet=st.characters(exclude_categories=["C"])).filter(lambda text: not text.endswith("\\")))
def test_any_text_survives_quoting(text: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"run={quoted(text)}"])
    assert override.value() == text


def test_a_value_that_cannot_be_quoted_is_refused() -> None:
    with pytest.raises(ValueError, match="backslash"):
        quoted("a\\")


def test_a_data_set_inside_the_recipe_goes_with_the_recipe(folder: Path) -> None:
    inner = "+dataset@recipe.parts.words.dataset=jsonl"
    save_command_line(folder, CommandLine(overrides=("recipe=mixture", inner)))
    run = f"run={quoted(str(folder))}"
    assert inner in replayed([run, "dataset=coco"])
    assert inner not in replayed([run, "recipe=ocr"])


def test_packages_that_a_stored_run_imports_are_named_anew(tmp_path: Path) -> None:
    save_command_line(tmp_path, CommandLine(overrides=("plugins=[mine]", "seed=3")))
    with pytest.raises(ValueError, match=r"was made with plugins=\[mine\]; add that if you trust the packages"):
        replayed([f"run={tmp_path}"])
    assert "plugins=[mine]" in replayed([f"run={tmp_path}", "plugins=[mine]"])
