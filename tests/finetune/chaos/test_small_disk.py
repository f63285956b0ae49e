"""A disk of one megabyte, seen by one process alone, that fills, empties and closes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import errno, sys
from pathlib import Path
from finetune.chaos.small_disk import fill, make_read_only, make_room, mount_small_disk

disk = Path(sys.argv[1])
try:
    mount_small_disk(disk, 1 << 20)
except OSError as error:
    sys.exit(f"not here: {error}")

def refused():
    try:
        (disk / "file").write_bytes(bytes(1 << 13))
    except OSError as error:
        return errno.errorcode[error.errno]
    return "nothing"

fill(disk)
print(refused())
make_room(disk)
print(refused())
make_read_only(disk)
print(refused())
"""


def test_it_fills_empties_and_closes_and_nobody_else_sees_it(tmp_path: Path, repository: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    if "not here: " in done.stderr:
        pytest.skip(f"this user may mount no disk: {done.stderr.strip()}")
    assert done.stdout.split() == ["ENOSPC", "nothing", "EROFS"], done.stderr
    assert list(tmp_path.iterdir()) == []
