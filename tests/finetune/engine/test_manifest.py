"""Damage to a checkpoint's files and to the manifest itself is found."""

import json
from pathlib import Path

import pytest

from finetune.engine.durable import write_chunks
from finetune.engine.manifest import (
    MANIFEST,
    DamagedCheckpointError,
    Manifest,
    read_manifest,
    verify_files,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one recorded file."""
    record = write_chunks(tmp_path / "weights", [bytes(range(200))], moment="trained")
    write_manifest(tmp_path, Manifest(step=3, best_step=2, files={"weights": record}))
    return tmp_path


def test_a_manifest_comes_back_and_its_files_verify(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert (manifest.step, manifest.best_step, list(manifest.files)) == (3, 2, ["weights"])
    assert manifest.files["weights"].bytes == 200
    verify_files(folder, manifest)


def test_every_flipped_bit_of_a_manifest_that_changes_its_meaning_is_found(folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        if _meaning(damaged) != _meaning(whole):
            (folder / MANIFEST).write_bytes(damaged)
            with pytest.raises(DamagedCheckpointError, match="other content"):
                read_manifest(folder)


def _meaning(content: bytes | bytearray) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return "not JSON"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'"text"', b"\xff\xfe"])
def test_what_is_no_manifest_is_damage(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match="other content"):
        read_manifest(folder)


def test_a_missing_manifest_is_damage(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(DamagedCheckpointError, match=r"MANIFEST\.json is missing"):
        read_manifest(folder)


def test_a_format_of_another_version_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.engine.manifest._FORMAT", 2)
    write_manifest(folder, Manifest(step=3, best_step=None, files={}))
    monkeypatch.undo()
    with pytest.raises(DamagedCheckpointError, match="has format 2; this version reads format 1"):
        read_manifest(folder)


def test_truncated_flipped_and_missing_files_are_named(folder: Path) -> None:
    path, manifest = folder / "weights", read_manifest(folder)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-1])
    with pytest.raises(DamagedCheckpointError, match="weights has 199 bytes, 200 were written"):
        verify_files(folder, manifest)
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match="weights has other content than was written"):
        verify_files(folder, manifest)
    path.unlink()
    with pytest.raises(DamagedCheckpointError, match="weights is missing"):
        verify_files(folder, manifest)
