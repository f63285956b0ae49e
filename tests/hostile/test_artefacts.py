"""No file that somebody hands over runs code, and each is refused in a line that says what to do, or never read."""

import sys
from pathlib import Path

import pytest

from finetune.cli import run
from tests.hostile.artefact_cases import ARTEFACTS
from tests.hostile.artefacts import CANARY, PICKLE, Artefact


def test_there_are_enough_artefacts_and_the_payload_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    assert len({artefact.name for artefact in ARTEFACTS}) == len(ARTEFACTS) >= 25
    monkeypatch.chdir(tmp_path)
    pickle.loads(PICKLE)
    assert (tmp_path / CANARY).exists()


@pytest.mark.parametrize("artefact", ARTEFACTS, ids=lambda artefact: artefact.name)
def test_nothing_is_run_and_the_refusal_is_clear(
    artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["finetune"])
    imported = set(sys.modules)
    words = artefact.make(tmp_path)
    code = run(words)
    printed = capfd.readouterr()
    assert not list(tmp_path.rglob(CANARY)), "it ran"
    assert not {"antigravity", "modeling_evil"} & (set(sys.modules) - imported)
    if artefact.answer is None:
        assert code == 0, printed.err
        return
    assert code == 2, printed.err
    assert artefact.answer in printed.err
    assert "Traceback" not in printed.err
    (line,) = [line for line in printed.err.splitlines() if line.startswith(f"finetune {words[0]}: ")]
    assert len(line) < 600


def test_a_run_with_links_out_of_its_folder_leaves_what_they_lead_to_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    linked = next(artefact for artefact in ARTEFACTS if "links out" in artefact.name)
    assert run(linked.make(tmp_path)) == 2
    assert (tmp_path / "precious.txt").read_text() == "precious"
