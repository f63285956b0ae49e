"""Two network namespaces as two hosts: torchrun on each, joined over the cable between them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import HERE, SECONDS, SETTINGS, losses, shell

ADDRESSES = {"hosta": "10.77.0.1", "hostb": "10.77.0.2"}


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    shell(HERE / "namespaces.sh", "down")
    made = shell(HERE / "namespaces.sh", "up")
    if made.returncode:
        shell(HERE / "namespaces.sh", "down")
        pytest.skip(f"no network namespaces may be made here: {made.stderr.strip()}")
    yield list(ADDRESSES)
    shell(HERE / "namespaces.sh", "down")


def test_two_hosts_train_what_one_process_does(hosts: list[str], alone: list[float], tmp_path: Path) -> None:
    agents = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, "env", f"GLOO_SOCKET_IFNAME=cable{host[-1]}",
             sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
             "--rdzv-id=cells", "--rdzv-backend=c10d", f"--rdzv-endpoint={ADDRESSES['hosta']}:29400",
             f"--rdzv-conf=is_host={int(host == 'hosta')}", f"--local-addr={ADDRESSES[host]}",
             "-m", "finetune", "train", f"runs={tmp_path}", "name=cells", *SETTINGS],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for host in hosts
    ]  # fmt: skip
    outputs = [agent.communicate(timeout=SECONDS)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], "\n".join(outputs)
    assert losses(tmp_path / "cells") == pytest.approx(alone, abs=1e-5)
    assert [output.count("report: ") for output in outputs].count(1) == 1
