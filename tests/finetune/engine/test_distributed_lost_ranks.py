"""A rank that dies or hangs takes the job down soon, and is named."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).parent / "lost_ranks.py"
STEP_TIMEOUT = 4.0


@pytest.fixture(scope="module")
def found(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Lose a rank in each way; return what became of the other."""
    folder = tmp_path_factory.mktemp("lost")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder), str(port), "host", "killed", "raised", "hung", "stopped"],
        cwd=repository,
        env={**inherited, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return result


@pytest.mark.parametrize("fate", ["killed", "raised"])
def test_a_dead_rank_ends_the_others_within_fifteen_seconds(found: dict[str, Any], fate: str) -> None:
    assert found[fate]["code"] == 5
    assert found[fate]["seconds"] <= 15
    assert "adding up of training step 3: lost rank 1, adding up of training step 3" in found[fate]["said"]


def test_rank_0_is_named_though_ranks_talked_through_it(found: dict[str, Any]) -> None:
    assert found["host"]["code"] == 5
    assert found["host"]["seconds"] <= 15
    assert "lost rank 0 or the launcher, whichever of them ranks were talking through" in found["host"]["said"]
    assert "Traceback" not in found["host"]["said"]


@pytest.mark.parametrize("fate", ["hung", "stopped"])
def test_a_hung_rank_ends_the_others_after_the_timeout_and_is_named(found: dict[str, Any], fate: str) -> None:
    assert found[fate]["code"] == 5
    assert STEP_TIMEOUT <= found[fate]["seconds"] <= STEP_TIMEOUT + 40
    assert f"did not end within {STEP_TIMEOUT:g} s. Late: rank 1, adding up of training step 3" in found[fate]["said"]
    assert "The others: rank 0, adding up of training step 3" in found[fate]["said"]


def test_a_rank_that_hangs_is_told_with_the_line_that_it_hangs_at(found: dict[str, Any]) -> None:
    assert "at lost_ranks.py:" in found["hung"]["said"]
