"""What a launcher says beside the number of processes."""

import os

import pytest
from torch.distributed import TCPStore

from finetune.engine.launch import meet_anew


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> TCPStore:
    """The store of a launcher's agent, and what it tells its ranks; what they change is taken back."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def meet(rank: int, start: int, agents_port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the port where a rank looks for the others."""
    told = {"RANK": str(rank), "TORCHELASTIC_RESTART_COUNT": str(start), "MASTER_PORT": str(agents_port)}
    for name, value in (told | {"TORCHELASTIC_USE_AGENT_STORE": "True"}).items():
        monkeypatch.setenv(name, value)
    opened = meet_anew()
    assert (opened is not None) == (rank == 0 and start > 0)
    return int(os.environ["MASTER_PORT"])


def test_ranks_of_a_later_start_meet_where_no_earlier_ones_met(
    agent: TCPStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = agent.port
    ports = [[meet(rank, start, port, monkeypatch) for rank in (0, 1)] for start in (1, 2)]
    assert os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "False"
    assert ports[0][0] == ports[0][1]
    assert ports[1][0] == ports[1][1]
    assert len({port, ports[0][0], ports[1][0]}) == 3


def test_ranks_of_the_first_start_meet_where_the_agent_says(agent: TCPStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert meet(0, 0, agent.port, monkeypatch) == agent.port
    assert os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "True"


def test_ranks_of_another_launcher_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    meet_anew()
    assert dict(os.environ) == before
