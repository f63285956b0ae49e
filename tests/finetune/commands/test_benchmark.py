"""`finetune bench` as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor, nn

from finetune import cli
from finetune.benchmark import attention_routes, jobs, layers, products
from finetune.benchmark.choices import Effort, VariantName
from finetune.data.packing import Batch
from finetune.model import forward
from finetune.model.attention import MaskRule
from finetune.model.attention_plan import AttentionPlan, Kernel, plan_attention

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
    # The checks of shapes that tests install cannot be traced: tests/finetune/benchmark/test_layers.py compiles.
    monkeypatch.setattr(layers, "_compiled", lambda layer, device: layer)
    monkeypatch.setattr(jobs, "_GPU_EFFORT", Effort(rounds=1, block_steps=1, warmup_steps=2))
    for name in ("_ALL", "_OURS_AND_STOCK", "_OURS_AND_STRONG", "_OURS_TWICE_AND_STOCK"):
        monkeypatch.setattr(jobs, name, (VariantName.ours,))
    monkeypatch.setattr(jobs, "_GPU_BATCHES", (1, 2))
    path = tmp_path / "gpu.json"
    finetune("bench", f"to={path}", "part=gpu", "budget_s=3000", *SHORT)
    record = read(path)
    assert record["left_out"] == []
    kinds = [section["kind"] for section in record["sections"]]  # type: ignore[attr-defined]
    assert kinds == ["question", "training", "question", "question", *["training"] * 4, "generation", "sweep", "loader"]
    finetune("bench", f"report={path}")


def test_a_mask_that_leaks_ends_with_one_and_tells_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leaking(model: nn.Module, batch: Batch, mask_rule: MaskRule | None) -> AttentionPlan:
        return plan_attention(batch, Kernel.masked, sees_its_own_answer)

    monkeypatch.setattr(forward, "_plan", leaking)
    path = tmp_path / "bench.json"
    assert cli.run(["bench", f"to={path}", "variants=[ours]", *SHORT]) == 1
    told = capsys.readouterr()
    assert "finetune bench: no time is told: leak: the last suffix token changes no loss before it" in told.err
    assert "ms a step" not in told.out
    record = read(path)
    assert record["sections"] == []
    assert "leak" in json.dumps(record["left_out"])


def sees_its_own_answer(example_ids: Tensor, position_ids: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    """What transformers computes without token_type_ids, or with a flash kernel."""
    return example_ids[:, :, None] == example_ids[:, None, :]


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
