"""Two processes on this machine do what one would; a launcher that splits them apart is refused."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune.engine.distributed import Ranks
from finetune.settings import Precision

TIMEOUT_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def findings(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Start both processes as torchrun would, on the CPU, and read what each found."""
    folder = tmp_path_factory.mktemp("ranks")
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    command = [sys.executable, str(Path(__file__).parent / "two_ranks.py"), str(folder)]
    processes = [
        subprocess.Popen(
            command,
            cwd=repository,
            env={
                **inherited,
                **shared,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "PYTHONPATH": str(repository),
                "CUDA_VISIBLE_DEVICES": "",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        errors = [process.communicate(timeout=TIMEOUT_SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_the_update_of_two_ranks_with_two_micro_batches_is_that_of_one_batch(findings: list[dict[str, object]]) -> None:
    for found in findings:
        assert found["world_size"] == 2
        assert found["num_examples"] == 8
        assert all(deviation < 1e-5 for deviation in found["deviations"].values())  # type: ignore[attr-defined]
    assert findings[0]["losses"] == findings[1]["losses"]


def test_a_loss_that_is_not_finite_on_one_rank_stops_the_update_on_all(findings: list[dict[str, object]]) -> None:
    for found in findings:
        assert found["poisoned"] == {"outcome": "non_finite", "unchanged": True, "suspects": ["sample-1"]}


@pytest.mark.parametrize("number", [1, 2, 7])
def test_an_evaluation_that_ranks_cannot_share_evenly_sees_every_sample_once(
    number: int, findings: list[dict[str, object]]
) -> None:
    main, other = (found["evaluations"][str(number)] for found in findings)  # type: ignore[index]
    assert main["together"] == main["alone"]
    assert main["together"]["seen"] == [f"s{index}" for index in range(number)]
    assert main["together"]["num_samples"] == number
    assert other["together"]["values"] == main["alone"]["values"]


def test_a_data_set_that_windows_do_not_divide_is_trained_on_as_by_one_process(
    findings: list[dict[str, object]],
) -> None:
    for found in findings:
        training: Any = found["training"]
        assert training["ids"] == training["ids alone"]
        assert [len(window) for window in training["ids"]] == [4] * 5
        order = [one for window in training["ids"] for one in window]
        assert sorted(order[:7]) == [f"s{index}" for index in range(7)]
        assert training["losses"] == pytest.approx(training["losses alone"], abs=1e-6)
        assert training["losses"][-1] < training["losses"][0]


def test_numbers_and_objects_reach_every_rank(findings: list[dict[str, object]]) -> None:
    for found in findings:
        assert found["sum"] == [3.0, 0.5]
        assert found["gathered"] == ["from 0", "from 1"]
        assert found["broadcast"] == {"rank": 0}
        assert found["on_main"] == 0


def test_an_error_on_the_main_rank_is_raised_on_every_rank(findings: list[dict[str, object]]) -> None:
    assert [found["failure"] for found in findings] == ["no room, exit code 4"] * 2


def test_one_process_is_its_own_main_rank(ranks: Ranks) -> None:
    assert (ranks.rank, ranks.world_size, ranks.is_main) == (0, 1, True)
    assert ranks.sum([1, 2.5]) == [1.0, 2.5]
    assert ranks.gather(["a"]) == ["a"]
    assert ranks.broadcast("b") == "b"
    assert ranks.on_main(lambda: "c") == "c"
    with pytest.raises(KeyError):
        ranks.on_main(lambda: {}["missing"])


def test_processes_that_do_not_find_each_other_are_refused(ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "")
    # accelerate is initialised in this process already, alone.
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="started 2 processes but accelerate sees 1: each would train its own copy"):
        Ranks(Precision.fp32)


def test_the_jobs_of_a_sweep_may_compute_in_different_formats() -> None:
    for precision, dtype in ((Precision.bf16, torch.bfloat16), (Precision.fp32, torch.float32)):
        ranks = Ranks(precision)
        weight = torch.ones(2, 2, device=ranks.device)
        with ranks.autocast():
            assert (weight @ weight).dtype is dtype
        ranks.end()


def test_fp16_without_a_gpu_is_refused_with_the_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(ValueError, match=r"fp16 needs a GPU; set training.precision=bf16 or fp32"):
        Ranks(Precision.fp16)
