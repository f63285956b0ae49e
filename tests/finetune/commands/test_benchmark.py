"""`finetune bench` as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli
from finetune.benchmark import attention_routes, layers, products
from finetune.benchmark.gates import Gate, GateError
from finetune.commands import benchmark

SHORT = ["batch=2", "prefix_tokens=5", "suffix_tokens=6", "rank=2", "rounds=1", "block_steps=1", "warmup_steps=2"]


def read(path: Path) -> dict[str, object]:
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def test_a_benchmark_is_shown_kept_and_printed_again(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    finetune("bench", f"to={path}", "variants=[ours,stock]", *SHORT)
    shown = capsys.readouterr().out
    assert "ours: this project" in shown
    record = read(path)
    assert record["schema"] == 1
    assert record["left_out"] == []
    finetune("bench", f"report={path}")
    report = capsys.readouterr().out
    assert report.startswith("**PaliGemma 1 tiny, lora bf16, 28 px, batch 2, 5+6 text tokens**")
    assert "| stock |" in report


def test_a_sweep_is_drawn(tmp_path: Path, finetune: Callable[..., None]) -> None:
    path = tmp_path / "bench.json"
    finetune("bench", f"to={path}", "sweep=batch", "points=[1,2]", "variants=[ours,strong]", *SHORT)
    assert (tmp_path / "bench-batch.svg").read_text().startswith("<svg ")


def test_everything_for_a_gpu_runs_at_tiny_size(
    tmp_path: Path, finetune: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (attention_routes, layers, products):
        monkeypatch.setattr(module, "_SECONDS", 0.0)
    path = tmp_path / "gpu.json"
    finetune("bench", f"to={path}", "part=gpu", "budget_s=3000", *SHORT)
    record = read(path)
    assert record["left_out"] == []
    kinds = [section["kind"] for section in record["sections"]]  # type: ignore[attr-defined]
    assert kinds == ["question", "training", "question", "question", *["training"] * 4, "generation", "sweep", "loader"]
    finetune("bench", f"report={path}")


def test_a_failed_gate_ends_with_one_and_tells_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise GateError(Gate(name="leak", measured=1.0, rule="at most 0", holds=False))

    monkeypatch.setattr(benchmark, "run_jobs", fail)
    assert cli.run(["bench", f"to={tmp_path / 'bench.json'}", *SHORT]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("finetune bench: no time is told: leak: measured 1")
    assert "ms a step" not in told.out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("training.precision=bf16", "unknown setting training.precision; did you mean precision?"),
        ("peft=none", "unknown setting peft"),
        ("size=4b", "size must be one of tiny, reduced, 3b, got '4b'"),
        ("generation=3", "generation must be 1 or 2, got 3"),
        ("image_size=225", "image_size must be a multiple of the patch size 14, got 225"),
        ("precision=fp16", "precision and trained_in must be fp32 or bf16"),
        ("points=[1,2]", "points needs sweep"),
        ("sweep=batch points=[3]", "points must be two or more"),
        ("sweep=batch part=loader", "sweep=batch needs part=training, got part=loader"),
        ("variants=[ours,ours]", "once at most"),
        ("variants=[mine]", "variants"),
        ("suffix_tokens=1", "suffix_tokens must be at least 2"),
        ("row_tokens=20", "row_tokens=20 must be at least 53"),
        ("report=nowhere.json", "report: there is no file nowhere.json"),
        ("report=x.json batch=2", "report prints what a file says and measures nothing: leave batch away"),
        ("warmup_steps=1", "warmup_steps must be at least 2"),
    ],
)
def test_a_mistake_is_answered_before_anything_is_measured(
    words: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench", *words.split()]) == 2
    assert answer in capsys.readouterr().err
