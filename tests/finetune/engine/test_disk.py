"""What a disk refuses is said in words that help."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from finetune.engine import disk
from finetune.engine.disk import disk_errors, folder_errors, mebibytes, require_room
from finetune.engine.stops import DiskError, DiskFullError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_a_quota_and_a_limit_name_folder_need_and_what_is_free(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFullError) as stop, disk_errors(tmp_path, need=3 << 20):
        raise OSError(number, os.strerror(number))
    message = str(stop.value)
    assert message.startswith(f"no room for a checkpoint in {tmp_path} ({os.strerror(number)}): it needs 3 MiB, ")
    assert "MiB are free" in message
    assert stop.value.exit_code == 4


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EACCES])
def test_other_errors_of_a_save_end_the_run_with_the_same_code(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskError, match="nothing can be saved in") as stop, disk_errors(tmp_path, need=1):
        raise OSError(number, os.strerror(number))
    assert not isinstance(stop.value, DiskFullError)
    assert stop.value.exit_code == 4
    assert os.strerror(number) in str(stop.value)


def test_an_error_that_is_not_about_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), folder_errors(tmp_path):
        (tmp_path / "missing").read_text()
    with pytest.raises(DiskError, match=r"the disk refuses: .*No space left"), folder_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_room_is_looked_for_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_room(tmp_path, need=1)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10 << 30, 0, 5 << 20))
    with pytest.raises(DiskFullError, match="it needs 2,000 MiB, 5 MiB are free"):
        require_room(tmp_path, need=2000 << 20)
    assert mebibytes(2000 << 20) == "2,000 MiB"
