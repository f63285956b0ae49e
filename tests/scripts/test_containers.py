"""The container file and the Kubernetes job, as far as they can be checked without a container or a cluster."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune.cli import run


def steps(repository: Path) -> list[list[str]]:
    """The container file's steps as words."""
    text = (repository / "Containerfile").read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def readme_commands(repository: Path) -> list[str]:
    section = (repository / "README.md").read_text().partition("## Two commands")[2]
    return re.findall(r"^scripts/\S+\.sh$", section.partition("\n## ")[0], flags=re.MULTILINE)


def test_the_container_runs_the_two_commands_of_the_readme(repository: Path) -> None:
    text = (repository / "Containerfile").read_text()
    first, second = readme_commands(repository)
    assert ["CMD", f"[{first}]"] in steps(repository)
    assert f"podman run --rm finetune {second}" in text
    for script in (first, second):
        assert os.access(repository / script, os.X_OK)


def test_the_container_is_built_by_the_scripts_own_installation(repository: Path) -> None:
    (build,) = [step for step in steps(repository) if step[0] == "RUN"]
    assert build[1:] == ["bash", "-c", "source scripts/environment.sh && make_environment test"]
    assert "make_environment()" in (repository / "scripts" / "environment.sh").read_text()
    assert {step[0] for step in steps(repository)} <= {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "CMD"}


def test_the_container_leaves_out_what_is_no_source(repository: Path) -> None:
    ignored = (repository / ".dockerignore").read_text().split()
    assert {".git", ".venv", "runs"} <= set(ignored)
    assert not [path for path in ("finetune", "conf", "scripts", "constraints.txt") if path in ignored]


@pytest.fixture
def job(repository: Path) -> dict[str, Any]:
    text = (repository / "scripts" / "kubernetes" / "pytorchjob.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def test_the_kubernetes_job_is_a_command_line_that_composes(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["finetune"])
    launcher, *options, module, program, command = container(job)["command"]
    assert (launcher, module, program) == ("torchrun", "-m", "finetune")
    assert run([command, "--cfg", "job", *container(job)["args"]]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["name"] == "cells"
    (processes,) = [int(word.rpartition("=")[2]) for word in options if word.startswith("--nproc-per-node")]
    assert processes == container(job)["resources"]["limits"]["nvidia.com/gpu"]
    workers = job["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"]
    assert shown["training"]["global_batch_size"] >= workers * processes


def test_the_kubernetes_job_is_whole(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker, elastic = job["spec"]["pytorchReplicaSpecs"]["Worker"], job["spec"]["elasticPolicy"]
    assert elastic["minReplicas"] <= worker["replicas"] <= elastic["maxReplicas"]
    # The operator finds the training by this name.
    assert container(job)["name"] == "pytorch"
    pod = worker["template"]["spec"]
    assert {mount["name"] for mount in container(job)["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    # Every pod sees the run's folder, and there is time for a save before SIGKILL.
    (runs,) = [word.partition("=")[2] for word in container(job)["args"] if word.startswith("runs=")]
    assert any(runs.startswith(f"{mount['mountPath']}/") for mount in container(job)["volumeMounts"])
    assert pod["terminationGracePeriodSeconds"] >= 120
