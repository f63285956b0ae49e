"""Fingerprints of files, and text that is written through to the disk."""

import hashlib
import os
from pathlib import Path

import pytest

from finetune.engine import durable
from finetune.engine.durable import file_sha256, in_two, sync, write_chunks, write_text


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


def test_a_file_is_hashed_while_it_is_written_and_forced_to_the_disk_before_its_record_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    monkeypatch.setattr(durable, "reach", reached.append)
    monkeypatch.setattr(os, "fsync", lambda descriptor: reached.append("fsync"))
    record = write_chunks(tmp_path / "file", in_two("öabc"), moment="state")
    assert reached == ["state.before", "state.begun", "state.written", "fsync", "state.synced"]
    content = (tmp_path / "file").read_bytes()
    assert (record.bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert content.decode() == "öabc"


def test_a_system_that_takes_a_few_bytes_at_a_time_gets_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    record = write_chunks(tmp_path / "file", [b"0123456789"], moment="state")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"0123456789"
    assert record.sha256 == file_sha256(tmp_path / "file")
