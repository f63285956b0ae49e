"""A checkpoint is whole or is not there, whatever happens while it is written, kept or deleted."""

import errno
import os
import resource
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from finetune.engine import disk, faults
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.manifest import MANIFEST
from finetune.engine.snapshot import OPTIMIZER, STATE, TRAINED, Snapshot
from finetune.engine.stops import DiskError, DiskFullError


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


def damage_extra_file(folder: Path) -> None:
    (folder / "model-00002.safetensors").write_bytes(b"of another run")


def damage_missing_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def damage_other_manifest(folder: Path) -> None:
    shutil.copy(folder.parent / "step-00000001" / MANIFEST, folder / MANIFEST)


def damage_empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def damage_tensors_of_another_step(folder: Path) -> None:
    shutil.copy(folder.parent / "step-00000001" / TRAINED, folder / TRAINED)


def damage_json(folder: Path) -> None:
    (folder / STATE).write_text('{"counters": {"step": 2,')


def damage_manifest_json(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"format": 1, "step": 2,')


def damage_zero_length(folder: Path) -> None:
    for name in (TRAINED, OPTIMIZER, STATE, MANIFEST):
        (folder / name).write_bytes(b"")


def damage_link_away(folder: Path) -> None:
    (folder / TRAINED).unlink()
    (folder / TRAINED).symlink_to(folder / "gone")


DAMAGES = [value for name, value in list(globals().items()) if name.startswith("damage_")]


def test_a_checkpoint_is_restated_without_writing_its_tensors_again(store: CheckpointStore) -> None:
    folder = store.save(snapshot(7))
    inode = (folder / TRAINED).stat().st_ino
    for step in (8, 9):
        store.restate(7, 7, {"counters": {"step": step}})
    restated = store.load(7)
    assert (restated.best_step, restated.state) == (7, {"counters": {"step": 9}})
    assert restated.trained.keys() == snapshot(7).trained.keys()
    assert (folder / TRAINED).stat().st_ino == inode
    assert len(list(folder.iterdir())) == 4, "the older states are gone"


def test_saving_a_step_again_keeps_its_tensors(store: CheckpointStore) -> None:
    inode = (store.save(snapshot(7)) / TRAINED).stat().st_ino
    folder = store.save(snapshot(7, best_step=7))
    assert (folder / TRAINED).stat().st_ino == inode
    assert store.load(7).best_step == 7


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


class Killed(BaseException):
    """A process that ends without a word."""


def kill() -> None:
    raise Killed


def save_and_restate(store: CheckpointStore) -> None:
    store.save(snapshot(3))
    store.restate(3, 3, {"counters": "new"})


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.mark.parametrize("point", faults.POINTS)
def test_a_kill_at_any_moment_leaves_a_whole_newest_checkpoint(store: CheckpointStore, point: str) -> None:
    """Steps 1 and 2 are there; 3 is saved, 1 goes, and 3 is said anew, in which the process dies once."""
    store.save(snapshot(1))
    store.save(snapshot(2))
    faults.arm(point, kill)
    with pytest.raises(Killed):
        save_and_restate(store)
    faults.disarm()
    newest = store.newest()
    is_published = point in faults.RETENTION_POINTS + faults.RESTATE_POINTS + faults.SAVE_POINTS[-3:]
    assert newest == (3 if is_published else 2)
    loaded = store.load(newest)
    assert torch.equal(loaded.trained["weight"], snapshot(newest).trained["weight"])
    assert loaded.state in (snapshot(newest).state, {"counters": "new"})
    store.save(snapshot(4))
    assert (store.newest(), store.load(4).state) == (4, snapshot(4).state)
    assert len(list(store.folder.iterdir())) == 2, "what the killed process left is gone"


@pytest.mark.parametrize("point", faults.RESTATE_POINTS)
def test_a_kill_while_the_only_checkpoint_is_said_anew_does_not_take_it(store: CheckpointStore, point: str) -> None:
    store.save(snapshot(1))
    faults.arm(point, kill)
    with pytest.raises(Killed):
        store.restate(1, 1, {"counters": "new"})
    faults.disarm()
    is_new = point in faults.RESTATE_POINTS[-3:]
    assert store.load(1).state == ({"counters": "new"} if is_new else snapshot(1).state)
    store.restate(1, None, {"counters": "newer"})
    assert store.load(1).state == {"counters": "newer"}
    assert len(list(store.path(1).iterdir())) == 4


def test_all_moments_of_a_save_come_in_the_order_in_which_they_are_listed(store: CheckpointStore) -> None:
    reached: list[str] = []
    for point in faults.POINTS:
        faults.arm(point, partial(reached.append, point))
    store.save(snapshot(1))
    assert tuple(reached) == faults.SAVE_POINTS
    store.save(snapshot(2))
    reached.clear()
    store.save(snapshot(3))
    assert tuple(reached) == (*faults.SAVE_POINTS[:-1], *faults.RETENTION_POINTS, "save.end")
    reached.clear()
    store.restate(3, None, {})
    assert tuple(reached) == faults.RESTATE_POINTS


def test_nothing_is_removed_before_the_new_checkpoint_has_its_size(store: CheckpointStore, warnings: list[str]) -> None:
    store.save(snapshot(1))
    store.save(snapshot(2))
    faults.arm("names.synced", lambda: damage_truncate(store.path(3)))
    store.save(snapshot(3))
    assert store.steps() == [3, 2, 1]
    assert "stay where they are: step-00000003/trained.safetensors has 10 bytes" in warnings[0]


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


def refuse(number: int) -> Callable[[], None]:
    def refusal() -> None:
        raise OSError(number, os.strerror(number))

    return refusal


@pytest.mark.parametrize(
    "point", [point for point in faults.SAVE_POINTS if point.endswith((".begun", ".written", ".synced", ".made"))][:-1]
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_while_saving_leaves_the_last_checkpoint_and_no_rubbish(
    store: CheckpointStore, number: int, point: str
) -> None:
    store.save(snapshot(1))
    faults.arm(point, refuse(number))
    is_full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = r"no room for a checkpoint in .*checkpoints \(.+\): it needs 4 MiB, [\d,]+ MiB are free"
    with pytest.raises(DiskError, match=full if is_full else "nothing can be saved in .*checkpoints: ") as stop:
        store.save(snapshot(2))
    assert isinstance(stop.value, DiskFullError) == is_full
    assert os.strerror(number) in str(stop.value)
    assert store.newest() == 1
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]


def test_a_limit_on_the_size_of_files_is_an_error_and_no_end_without_a_word(store: CheckpointStore) -> None:
    """The system would end a process that exceeds it with SIGXFSZ, which Python has the sense to ignore."""
    store.save(snapshot(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="File too large"):
            store.save(snapshot(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.newest() == 1
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]


@pytest.mark.parametrize("point", ["restate.state.written", "restate.manifest.begun"])
def test_a_disk_that_refuses_a_restatement_leaves_the_old_word(store: CheckpointStore, point: str) -> None:
    store.save(snapshot(1))
    faults.arm(point, refuse(errno.ENOSPC))
    with pytest.raises(DiskFullError):
        store.restate(1, 1, {"counters": "new"})
    assert store.load(1).state == snapshot(1).state


def test_a_disk_that_refuses_to_remove_is_warned_about(store: CheckpointStore, warnings: list[str]) -> None:
    store.save(snapshot(1))
    store.save(snapshot(2))
    faults.arm("retention.before", refuse(errno.EIO))
    store.save(snapshot(3))
    assert store.newest() == 3
    assert "no longer needed stay where they are" in warnings[0]


def test_all_files_of_a_checkpoint_can_be_read_by_the_same_people(store: CheckpointStore) -> None:
    folder = store.save(snapshot(1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert set(modes.values()) == {modes[STATE]}


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: usage(2**40, 2**40, 2**20))
    with pytest.raises(DiskFullError, match="needs 4 MiB, 1 MiB are free") as refusal:
        store.save(snapshot(1))
    assert refusal.value.exit_code == 4
    assert list(store.folder.iterdir()) == []


def test_tensors_without_elements_are_not_saved_as_if_they_were_weights(store: CheckpointStore) -> None:
    empty = Snapshot(step=1, best_step=None, trained={"weight": torch.empty(0)}, optimizer={}, state={})
    with pytest.raises(AssertionError, match="without elements"):
        store.save(empty)
