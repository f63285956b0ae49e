"""Two runs are equal only if every bit is."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from finetune.chaos.evidence import differences, losses, published, read_evidence, read_values, torn, unpublished


def write_run(folder: Path) -> Path:
    """Write a run's folder with two checkpoints."""
    lines = [
        {"step": step, "loss": 1 / (step + 2), "learning_rate/decoder": 0.1, "examples_per_second": float(step)}
        for step in (1, 2, 3, 4)
    ]
    (folder / "predictions").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "predictions" / "step-00000004.jsonl").write_text('{"text": "a cell"}\n')
    for step in (2, 4):
        write_checkpoint(folder / "checkpoints" / f"step-{step:08d}", step)
    return folder


def write_checkpoint(folder: Path, step: int) -> None:
    folder.mkdir(parents=True)
    save_file({"a": torch.arange(4.0) + step, "b": torch.ones(2, dtype=torch.bfloat16)}, folder / "trained.safetensors")
    save_file({"a.moment": torch.full((4,), 0.5)}, folder / "optimizer.safetensors")
    (folder / "state.json").write_text(json.dumps({"counters": {"step": step}}))
    write_manifest(folder, step)


def write_manifest(folder: Path, step: int) -> None:
    names = [path.name for path in folder.iterdir() if path.name != "MANIFEST.json"]
    records = {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in names}
    (folder / "MANIFEST.json").write_text(json.dumps({"step": step, "files": records}))


def edit_metrics(folder: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path = folder / "metrics.jsonl"
    path.write_text("".join(edit(path.read_text().splitlines(keepends=True))))


def test_a_run_is_equal_to_itself_whatever_its_timings(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    edit_metrics(other, lambda lines: [line.replace('second": 3.0', 'second": 99.0') for line in lines])
    assert differences(read_evidence(one), read_evidence(other)) == []
    assert torn(one) == []


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: [line.replace("0.25", "0.25000000000000006") for line in lines], "at step 2"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "at step 3"),
        (lambda lines: lines[:-1], "6 were logged, 8 expected"),
        (lambda lines: [*lines, lines[-1]], "10 were logged, 8 expected"),
        (lambda lines: [*lines[:-1], lines[-1][:-5]], "6 were logged"),
    ],
    ids=["last bit of a loss", "wrong order", "a step missing", "a step twice", "a line cut short"],
)
def test_another_series_is_found(edit: Callable[[list[str]], list[str]], said: str, tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    edit_metrics(other, edit)
    (told,) = differences(read_evidence(one), read_evidence(other))
    assert said in told


def test_one_bit_of_a_weight_is_found_and_named(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    folder = other / "checkpoints" / "step-00000004"
    content = bytearray((folder / "trained.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "trained.safetensors").write_bytes(content)
    assert torn(other) == ["step-00000004: trained.safetensors is not what was written"]
    write_manifest(folder, 4)
    assert torn(other) == []
    (told,) = differences(read_evidence(one), read_evidence(other))
    assert "tensor: 1 differ, trained.safetensors/b first" in told


def test_other_counters_predictions_and_steps_are_found(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    (other / "checkpoints" / "step-00000004" / "state.json").write_text(json.dumps({"counters": {"step": 5}}))
    (other / "predictions" / "step-00000004.jsonl").write_text('{"text": "no cell"}\n')
    told = " ".join(differences(read_evidence(one), read_evidence(other)))
    assert "state: 1 differ" in told
    assert "predictions: 1 differ" in told
    (other / "checkpoints" / "step-00000004").rename(other / "checkpoints" / ".tmp-step-00000004-1")
    told = " ".join(differences(read_evidence(one), read_evidence(other)))
    assert "newest checkpoint is of step 2, not 4" in told
    assert len(unpublished(other)) == 1


def break_manifest(folder: Path) -> None:
    (folder / "MANIFEST.json").write_text("{")


def take_weights(folder: Path) -> None:
    (folder / "trained.safetensors").unlink()


def take_manifest(folder: Path) -> None:
    (folder / "MANIFEST.json").unlink()


def lie_about_step(folder: Path) -> None:
    write_manifest(folder, 2)


@pytest.mark.parametrize("damage", [break_manifest, take_weights, take_manifest, lie_about_step])
def test_a_torn_checkpoint_is_found(damage: Callable[[Path], None], tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    damage(run / "checkpoints" / "step-00000004")
    (problem,) = torn(run)
    assert problem.startswith("step-00000004: ")
    assert [path.name for path in published(run)] == ["step-00000002", "step-00000004"]


def test_a_value_is_read_to_its_last_bit(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.1}\n{"step": 2, "los')
    values = read_values(tmp_path)
    assert values == ((1, "loss", "0x1.999999999999ap-4"),)
    assert struct.pack("<d", losses(values)[1]) == struct.pack("<d", 0.1)


def test_a_folder_without_a_run_says_nothing(tmp_path: Path) -> None:
    evidence = read_evidence(tmp_path)
    assert (evidence.values, evidence.step, dict(evidence.tensors)) == ((), None, {})
