"""No command reaches for a network that nobody asked it to."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from finetune.cli import run

TINY = [
    "model=tiny_random", "model.image_size=28", "model.vision_depth=1", "model.decoder_depth=1",
    "model.vision_width=32", "model.decoder_width=64", "dataset.num_train=8", "dataset.num_eval=2",
    "training.global_batch_size=2", "training.micro_batch_size=2", "training.max_steps=1",
    "evaluation.max_new_tokens=4", "evaluation.gallery_size=1",
]  # fmt: skip


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was tried over the internet's protocols, all of which fail."""
    tried: list[str] = []
    connect = socket.socket.connect

    def refuse(own: socket.socket, address: Any) -> None:
        if own.family == socket.AF_UNIX:
            connect(own, address)
            return
        tried.append(f"connect {address}")
        raise OSError("sockets are forbidden here")

    def no_name(host: Any, *rest: Any, **more: Any) -> None:
        tried.append(f"look up {host}")
        raise OSError("names are not looked up here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(sys, "argv", ["finetune"])
    return tried


def test_a_whole_run_works_without_a_network(
    attempts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    earlier = "run=runs/alone"
    for words in (
        ["inspect", "to=page.html", *TINY],
        ["train", "name=alone", *TINY],
        ["evaluate", earlier],
        ["predict", earlier, "to=predictions.jsonl"],
        ["export", earlier],
        ["export", earlier, "format=merged"],
    ):
        assert run(words) == 0, words
        assert attempts == [], words


def test_the_gate_notices_who_asks(attempts: list[str]) -> None:
    with pytest.raises(OSError, match="forbidden"), socket.socket() as asking:
        asking.connect(("192.0.2.1", 80))
    with pytest.raises(OSError, match="not looked up"):
        socket.getaddrinfo("example.org", 80)
    assert attempts == ["connect ('192.0.2.1', 80)", "look up example.org"]
