"""No file of the project unpickles, evaluates, asks a shell, or reaches a network outside the rooms of the hub."""

from pathlib import Path

import pytest
import yaml

from tests.hostile.dangerous import ALLOWED, findings_in, findings_of

FOLDERS = ("finetune", "recipes", "datasets_adapters", "scripts", "conf")


def test_nothing_dangerous_is_written_anywhere(repository: Path) -> None:
    assert [str(finding) for finding in findings_in(repository, FOLDERS)] == []


def test_what_is_allowed_is_still_there(repository: Path) -> None:
    for path, kind in ALLOWED:
        assert kind in {finding.kind for finding in findings_of((repository / path).read_text(), path)}, path


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import pickle", "pickle"),
        ("import pickle as p", "pickle"),
        ("from pickle import loads", "pickle"),
        ("import cloudpickle", "pickle"),
        ("from joblib import load", "pickle"),
        ("import marshal", "marshal"),
        ("import torch\ntorch.load('x', weights_only=True)", "torch.load"),
        ("from torch import load\nload('x')", "torch.load"),
        ("import torch as t\nt.load('x')", "torch.load"),
        ("f(x, weights_only=False)", "weights_only=False"),
        ("import torch.distributed.checkpoint as dcp", "DCP, whose metadata is a pickle"),
        ("from torch.distributed import checkpoint", "DCP, whose metadata is a pickle"),
        ("eval('1')", "eval"),
        ("exec('1')", "exec"),
        ("import yaml\nyaml.load(x, Loader=yaml.Loader)", "yaml.load"),
        ("from yaml import unsafe_load as read\nread(x)", "yaml.load"),
        ("import tarfile\ntarfile.open('x').extractall()", "an archive, unpacked whole"),
        ("archive.extractall(filter='fully_trusted')", "an archive, unpacked whole"),
        ("import shutil\nshutil.unpack_archive('x')", "an archive, unpacked whole"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "a shell"),
        ("import os\nos.system('ls')", "a shell"),
        ("from os import system\nsystem('ls')", "a shell"),
        ("import hydra\nhydra.utils.instantiate(x)", "hydra's instantiate"),
        ("from hydra.utils import instantiate\ninstantiate(x)", "hydra's instantiate"),
        ("AutoModel.from_pretrained('x', trust_remote_code=True)", "trust_remote_code"),
        ("AutoModel.from_pretrained('x', trust_remote_code=setting)", "trust_remote_code"),
        ("import numpy as np\nnp.load('x')", "numpy's load without allow_pickle=False"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "numpy's load without allow_pickle=False"),
        ("import requests", "network"),
        ("import urllib.request", "network"),
        ("from huggingface_hub import snapshot_download", "network"),
        ("import socket\nsocket.create_connection(('a', 1))", "network"),
    ],
)
def test_the_gate_closes_on_each_of_these(source: str, kind: str) -> None:
    assert kind in {finding.kind for finding in findings_of(source, "finetune/new.py")}


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "import re\nre.compile('x')",
        "archive.extractall(path, filter='data')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import torch\ntorch.compile(model)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "from huggingface_hub.errors import GatedRepoError",
        "from safetensors.torch import load_file\nload_file('x')",
    ],
)
def test_the_gate_is_open_for_these(source: str) -> None:
    assert findings_of(source, "finetune/new.py") == []


def test_no_packaged_choice_names_code_outside_the_project(repository: Path) -> None:
    for path in (repository / "conf").rglob("*.yaml"):
        if path.parent.parent.name == "hydra":
            continue
        for target in _targets(yaml.safe_load(path.read_text())):
            assert target.startswith(("finetune.", "recipes.", "datasets_adapters.")), f"{path}: {target}"


def _targets(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in _targets(value)]
    if isinstance(node, list):
        return [target for value in node for target in _targets(value)]
    return []
