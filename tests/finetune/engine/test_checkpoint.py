"""A checkpoint is whole or is not there, whatever happens while it is written, kept or deleted."""

import errno
import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from finetune.engine import checkpoint
from finetune.engine.checkpoint import OPTIMIZER, STATE, TRAINED, CheckpointStore, Snapshot
from finetune.engine.manifest import MANIFEST
from finetune.engine.stops import DiskFullError


def snapshot(step: int, best_step: int | None = None) -> Snapshot:
    shared = torch.arange(4, dtype=torch.float32)
    return Snapshot(
        step=step,
        best_step=best_step,
        trained={"weight": torch.full((3, 5), float(step)), "half": torch.ones(2, dtype=torch.bfloat16) * step},
        optimizer={"weight|exp_avg": shared, "bias|exp_avg": shared, "weight|step": torch.tensor(float(step))},
        state={"counters": {"step": step, "loss": 0.1 + step}},
    )


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", keep_last=2, warn=warnings.append)


def damage_truncate(folder: Path) -> None:
    with (folder / TRAINED).open("r+b") as file:
        file.truncate(10)


def damage_bit(folder: Path) -> None:
    content = bytearray((folder / OPTIMIZER).read_bytes())
    content[-1] ^= 1
    (folder / OPTIMIZER).write_bytes(content)


def damage_missing_file(folder: Path) -> None:
    (folder / STATE).unlink()


def damage_missing_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def damage_other_manifest(folder: Path) -> None:
    shutil.copy(folder.parent / "step-00000001" / MANIFEST, folder / MANIFEST)


def damage_empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGES = [
    damage_truncate,
    damage_bit,
    damage_missing_file,
    damage_missing_manifest,
    damage_other_manifest,
    damage_empty_folder,
]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_checkpoint_is_restated_without_writing_its_tensors_again(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    folder = store.save(snapshot(7))
    inode = (folder / TRAINED).stat().st_ino
    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    store.restate(replace(snapshot(7, best_step=7), state={"counters": {"step": 8}}, trained={}, optimizer={}))
    restated = store.load(7)
    assert (restated.best_step, restated.state) == (7, {"counters": {"step": 8}})
    assert restated.trained.keys() == snapshot(7).trained.keys()
    assert ((folder / TRAINED).stat().st_ino == inode) == has_links
    assert [path.name for path in store.folder.iterdir()] == ["step-00000007"]


def refuse(*paths: object) -> None:
    raise OSError(errno.EPERM, "no links here")


def test_a_snapshot_comes_back_bit_for_bit(store: CheckpointStore) -> None:
    saved = snapshot(7, best_step=7)
    folder = store.save(saved)
    assert folder.name == "step-00000007"
    assert sorted(path.name for path in folder.iterdir()) == sorted([MANIFEST, TRAINED, OPTIMIZER, STATE])
    loaded = store.load(7)
    assert (loaded.step, loaded.best_step, loaded.state) == (7, 7, saved.state)
    for before, after in ((saved.trained, loaded.trained), (saved.optimizer, loaded.optimizer)):
        assert before.keys() == after.keys()
        assert all(
            torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before
        )


def test_a_run_without_checkpoints_has_no_newest_one(store: CheckpointStore) -> None:
    assert store.newest() is None
    assert store.best() is None


def test_the_last_two_stay_and_the_best_of_each(store: CheckpointStore) -> None:
    for step, best_step in ((1, None), (2, 2), (3, 2), (4, 2), (5, 5), (6, 5), (7, 5)):
        store.save(snapshot(step, best_step))
        if step == 4:
            assert store.steps() == [4, 3, 2]
        if step == 5:
            assert store.steps() == [5, 4, 2], "step 4 may yet be resumed, and its best is 2"
    assert store.steps() == [7, 6, 5]
    assert store.best() == 5


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_newest_checkpoint_is_passed_over_with_the_reason(
    store: CheckpointStore, warnings: list[str], damage: Callable[[Path], None]
) -> None:
    store.save(snapshot(1))
    damage(store.save(snapshot(2)))
    assert store.newest() == 1
    assert len(warnings) == 1
    assert "step-00000002" in warnings[0]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_an_explicit_checkpoint_never_falls_back(store: CheckpointStore, damage: Callable[[Path], None]) -> None:
    store.save(snapshot(1))
    damage(store.save(snapshot(2)))
    with pytest.raises(ValueError, match="step-00000002"):
        store.load(2)
    with pytest.raises(ValueError, match=r"no checkpoint of step 3 in .*; there are: 2, 1"):
        store.load(3)


def test_nothing_but_damaged_checkpoints_is_an_error_and_no_fresh_start(store: CheckpointStore) -> None:
    for step in (1, 2):
        damage_bit(store.save(snapshot(step)))
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be used") as refusal:
        store.newest()
    assert len(str(refusal.value).splitlines()) == 3


def test_leftovers_of_a_killed_process_are_never_read_and_go_with_the_next_save(store: CheckpointStore) -> None:
    folder = store.save(snapshot(1))
    shutil.copytree(folder, store.folder / ".tmp-step-00000009-0a1b2c3d")
    shutil.copytree(folder, store.folder / ".del-step-00000008-0a1b2c3d")
    assert store.newest() == 1
    assert store.steps() == [1]
    store.save(snapshot(2))
    assert sorted(path.name for path in store.folder.iterdir()) == ["step-00000001", "step-00000002"]


def test_a_kill_at_any_rename_leaves_a_whole_newest_checkpoint(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 1 and 2 are there; saving 3 renames twice: 3 into place, then 1 out of the way."""
    real_rename, survivors = os.rename, []
    for deadly in (0, 1):
        calls: list[str] = []

        def rename(source: Path, target: Path, calls: list[str] = calls, deadly: int = deadly) -> None:
            calls.append(f"{Path(source).name} -> {Path(target).name}")
            if len(calls) - 1 == deadly:
                raise KeyboardInterrupt
            real_rename(source, target)

        shutil.rmtree(store.folder, ignore_errors=True)
        store.save(snapshot(1))
        store.save(snapshot(2))
        monkeypatch.setattr(checkpoint.os, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            store.save(snapshot(3))
        monkeypatch.undo()
        survivors.append((store.newest(), store.steps()))
        assert store.load(store.steps()[0]).step == store.newest()
    assert survivors == [(2, [2, 1]), (3, [3, 2, 1])]
    assert calls[0].startswith(".tmp-step-00000003")
    assert calls[0].endswith("-> step-00000003")
    assert calls[1].startswith("step-00000001 -> .del-step-00000001")


def test_the_old_checkpoint_of_the_same_step_is_replaced(store: CheckpointStore) -> None:
    damage_bit(store.save(snapshot(3)))
    store.save(snapshot(3, best_step=3))
    assert store.load(3).best_step == 3
    assert [path.name for path in store.folder.iterdir()] == ["step-00000003"]


def test_retention_does_not_count_what_is_damaged(store: CheckpointStore) -> None:
    store.save(snapshot(1))
    damage_missing_manifest(store.save(snapshot(2)))
    store.save(snapshot(3))
    assert store.steps() == [3, 1]


def test_newer_checkpoints_than_the_resumed_one_are_set_aside_for_people_to_look_at(store: CheckpointStore) -> None:
    store.save(snapshot(1))
    damage_bit(store.save(snapshot(2)))
    store.set_aside_after(1)
    assert store.steps() == [1]
    assert [path.name[:21] for path in store.folder.glob("damaged-*")] == ["damaged-step-00000002"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
    ids=["system", "quota", "safetensors"],
)
def test_a_disk_that_fills_up_while_saving_leaves_the_last_checkpoint_and_no_rubbish(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store.save(snapshot(1))

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(DiskFullError, match=r"no room for a checkpoint in .*: it needs \d+ MiB, \d+ MiB are free"):
        store.save(snapshot(2))
    assert store.newest() == 1
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]


def test_all_files_of_a_checkpoint_can_be_read_by_the_same_people(store: CheckpointStore) -> None:
    folder = store.save(snapshot(1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert set(modes.values()) == {modes[STATE]}


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda folder: usage(2**40, 2**40, 2**20))
    with pytest.raises(DiskFullError, match="needs 4 MiB, 1 MiB are free") as refusal:
        store.save(snapshot(1))
    assert refusal.value.exit_code == 4
    assert list(store.folder.iterdir()) == []


def test_other_errors_are_not_taken_for_a_full_disk(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tensors: dict[str, torch.Tensor], path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint, "save_file", refuse)
    with pytest.raises(PermissionError):
        store.save(snapshot(1))
    assert list(store.folder.iterdir()) == []


def test_tensors_without_elements_are_not_saved_as_if_they_were_weights(store: CheckpointStore) -> None:
    empty = Snapshot(step=1, best_step=None, trained={"weight": torch.empty(0)}, optimizer={}, state={})
    with pytest.raises(AssertionError, match="without elements"):
        store.save(empty)
