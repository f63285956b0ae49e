"""Fingerprints of files, and text that is written through to the disk."""

import hashlib
import os
from pathlib import Path

import pytest

from finetune.engine.durable import file_sha256, sync, write_text


def test_text_comes_back_and_has_the_fingerprint_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "é\n")
    assert path.read_text(encoding="utf-8") == "é\n"
    assert file_sha256(path) == hashlib.sha256("é\n".encode()).hexdigest()


def test_files_and_folders_are_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    write_text(tmp_path / "text", "x")
    sync(tmp_path)
    assert synced == [str(tmp_path / "text"), str(tmp_path)]
