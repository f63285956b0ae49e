import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import torch

from finetune.data.workers import load_in_order
from finetune.types import BadSampleError


@dataclass(frozen=True)
class Squares:
    """The twelfth is bad."""

    def __getitem__(self, key: int) -> torch.Tensor:
        if key == 12:
            raise BadSampleError(origin="here", sample_id="a", field_name="x", code="twelve", message="not this one")
        return torch.tensor(key * key)


@dataclass(frozen=True)
class Interrupted:
    """Sends itself what a keyboard or a scheduler sends to every process of a run, and lives to say so."""

    def __getitem__(self, key: int) -> int:
        os.kill(os.getpid(), [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1][key % 3])
        return os.getpid()


@dataclass(frozen=True)
class Dying:
    def __getitem__(self, key: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return key


def is_gone(pid: int) -> bool:
    """Whether a process ends within ten seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_values_come_in_order(num_workers):
    squares = [int(square) for square in load_in_order(Squares(), range(13, 25), num_workers)]
    assert squares == [key * key for key in range(13, 25)]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_arrives_as_it_was_raised_when_its_turn_comes(num_workers):
    values = load_in_order(Squares(), range(10, 20), num_workers)
    assert [int(next(values)), int(next(values))] == [100, 121]
    with pytest.raises(BadSampleError) as caught:
        next(values)
    assert (caught.value.code, caught.value.origin) == ("twelve", "here")


def test_loader_processes_leave_signals_to_the_main_process():
    pids = list(load_in_order(Interrupted(), range(6), 1))
    assert len(set(pids)) == 1
    assert pids[0] != os.getpid()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_draws_nothing_from_the_generator_that_training_uses(num_workers):
    before = torch.get_rng_state()
    list(load_in_order(Squares(), range(3), num_workers))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_process_that_dies_is_reported_and_not_waited_for():
    with pytest.raises(ChildProcessError, match=r"a loader process died.*data\.num_workers"):
        list(load_in_order(Dying(), range(3), 1))


def test_an_iterator_that_is_given_up_ends_its_processes():
    values = load_in_order(Interrupted(), range(1000), 1)
    pid = next(values)
    values.close()
    assert is_gone(pid)


MAIN = """
import os, signal
from finetune.data.workers import load_in_order
from tests.finetune.data.test_workers import Interrupted

if __name__ == "__main__":
    print(next(load_in_order(Interrupted(), range(1000), 1)), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_outlives_a_main_process_that_was_killed(repository, tmp_path):
    script = tmp_path / "main.py"
    script.write_text(MAIN)
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with (tmp_path / "out").open("w+") as out:
        subprocess.run([sys.executable, script], stdout=out, env=environment, cwd=repository, timeout=120, check=False)
        out.seek(0)
        pid = int(out.read())
    assert is_gone(pid)


def negative(value: torch.Tensor) -> torch.Tensor:
    return -value


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_left_to_do_here_is_done_in_order_and_errors_pass_through(num_workers):
    values = load_in_order(Squares(), range(9, 14), num_workers, negative)
    assert [int(next(values)) for _ in range(3)] == [-81, -100, -121]
    with pytest.raises(BadSampleError, match="not this one"):
        next(values)


def test_what_is_left_to_do_here_does_not_hide_that_a_process_died():
    with pytest.raises(ChildProcessError, match="a loader process died"):
        list(load_in_order(Dying(), range(3), 1, negative))
