"""Compiled layers, in a process without the checks of shapes that tests install: they cannot be traced."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from finetune.model import compile as compile_module
from finetune.model.compile import (
    NotCompilableError,
    check_compiler,
    compiled,
    compiling_layers,
    is_compiling_layers,
)

_SCRIPT = """
import json
import sys

import torch
from torch._dynamo.utils import counters

from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.model import build_model, our_model
from finetune.benchmark.our_step import OurStep
from finetune.benchmark.samples import draw_windows, our_batch
from finetune.config.bench import BenchCommand
from finetune.benchmark.choices import Method
from finetune.model import compile
from finetune.settings import Checkpointing, Precision

# The graphs are what is asked about: making code of them takes minutes.
compile.BACKEND = "aot_eager"
generation, dropout = int(sys.argv[1]), float(sys.argv[4])
method, rung = Method[sys.argv[2]], Checkpointing[sys.argv[3]]
workload = BenchCommand(
    generation=generation, method=method, precision=Precision.fp32, batch=3, prefix_tokens=6, suffix_tokens=8,
    row_tokens=64, rank=2,
).workload()
dimensions = dimensions_of(workload.size, generation)
base = build_model(workload, dimensions, torch.device("cpu"))
batch = our_batch(draw_windows(workload, dimensions)[0], dimensions, workload.row_tokens)
found = []
for is_compiled in (False, True):
    step = OurStep(our_model(base, workload), workload, dimensions)
    training = step._learner.rules.training
    training.gradient_checkpointing, training.residual_dropout = rung, dropout
    training.compile_layers = is_compiled
    found.append((step.loss(batch), step.gradients(batch)))
(loss, gradients), (compiled_loss, compiled_gradients) = found
print(json.dumps({
    "graphs": counters["stats"]["unique_graphs"],
    "loss": abs(loss - compiled_loss) / loss,
    "gradient": max(
        float((gradient - compiled_gradients[name]).norm() / gradient.norm().clamp(min=1e-12))
        for name, gradient in gradients.items()
    ),
}))
"""


@pytest.mark.parametrize(
    ("generation", "method", "rung", "dropout", "num_graphs"),
    [
        # The image encoder's layer; the decoder's first, which needs no gradient of its input; the others; the last.
        (1, "lora", "all", 0.1, 4),
        (2, "full", "mlp", 0.0, 3),
    ],
)
def test_each_kind_of_layer_is_one_graph_that_computes_the_same(
    repository: Path, generation: int, method: str, rung: str, dropout: float, num_graphs: int
) -> None:
    words = [sys.executable, "-c", _SCRIPT, str(generation), method, rung, str(dropout)]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["graphs"] == num_graphs
    assert found["loss"] < 1e-6
    assert found["gradient"] < 1e-5


def test_layers_are_compiled_inside_the_block_alone() -> None:
    assert not is_compiling_layers()
    with compiling_layers():
        assert is_compiling_layers()
    assert not is_compiling_layers()


def test_what_cannot_be_compiled_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def refuse(*arguments: object) -> torch.Tensor:
        raise TorchDynamoException("a construct without a graph\nand a page of explanation")

    monkeypatch.setattr(compile_module, "_graph", lambda function: refuse)
    layer = compiled(partial(_doubled, nn.Identity()))
    with pytest.raises(NotCompilableError, match=r"^training.compile_layers=true: a construct .*graph; set training"):
        layer(torch.ones(2))


def test_a_machine_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotCompilableError, match=r"no C\+\+ compiler is there \(g\+\+, clang\+\+, c\+\+\)"):
        check_compiler(torch.device("cpu"))


def test_a_layer_whose_weights_are_gathered_as_it_runs_is_refused() -> None:
    module = nn.Identity()
    module.register_forward_pre_hook(lambda module, inputs: None)
    with pytest.raises(NotCompilableError, match="distributed=fsdp2 and zero3 gather"):
        compiled(partial(_doubled, module))


def _doubled(module: nn.Module, states: torch.Tensor) -> torch.Tensor:
    return 2 * states
