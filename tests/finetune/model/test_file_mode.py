"""Files with weights can be read by those who can read everything else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from finetune.model.file_mode import share_tensors


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_weights_get_the_mode_that_the_umask_gives_every_other_file(tmp_path: Path, umask: int) -> None:
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        save_file({"weight": torch.zeros(2)}, tmp_path / name)
    (tmp_path / "config.json").write_text("{}")
    share_tensors(tmp_path, like="config.json")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~umask}


def test_a_disk_that_refuses_to_change_modes_is_not_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").touch()
    monkeypatch.delattr(Path, "chmod")
    share_tensors(tmp_path, like="config.json")
