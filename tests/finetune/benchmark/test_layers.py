"""Layers that are compiled, in a process without the checks of shapes that tests install: they cannot be traced."""

import json
import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import json
import torch
from finetune.benchmark import layers
from finetune.config.bench import BenchCommand

layers._NUM_LENGTHS = 2
print(json.dumps(layers._compiling(BenchCommand(rank=2).workload(), torch.device("cpu"))))
"""


def test_a_layer_is_one_graph_and_every_length_costs_another(repository: Path) -> None:
    words = [sys.executable, "-c", _SCRIPT]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
    found = json.loads(said.splitlines()[-1])
    assert (found["graphs_of_one_length"], found["graphs_of_many_lengths"]) == (1, 2)
    assert found["first_seconds"] > 0
