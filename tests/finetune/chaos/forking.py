"""What `test_processes.py` needs a process without threads for. The argument is a folder for logs; prints JSON."""

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from finetune.chaos.processes import Children, prepare_environment


class NoRoomError(Exception):
    """An error with an exit code of its own."""

    exit_code = 4


def fail(error: BaseException) -> None:
    raise error


def outlive(children: Children, folder: Path) -> bool:
    """Tell whether a process that was left alone is ended with the others."""
    left = children.fork(partial(time.sleep, 600), folder / "left.log", {})
    children.end()
    return left.code == -signal.SIGKILL


def main(folder: Path) -> None:
    prepare_environment()
    # As the command does: what these imports and a first product start must not be there when a process is forked.
    import torch

    torch.rand(300, 300) @ torch.rand(300, 300)
    children = Children()
    works = {
        "fine": lambda: print("said", os.environ["GIVEN"]),
        "bug": partial(fail, RuntimeError("broken")),
        "mistake": partial(fail, ValueError("batch must be at least 1")),
        "own": partial(fail, NoRoomError("no room")),
        "interrupted": partial(fail, KeyboardInterrupt()),
        "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
    }

    forked = {name: children.fork(work, folder / f"{name}.log", {"GIVEN": name}) for name, work in works.items()}
    sleeping = children.fork(partial(time.sleep, 600), folder / "sleeping.log", {})
    still = sleeping.wait(0.05)
    findings = {
        "threads": len(os.listdir("/proc/self/task")),
        "codes": {name: child.wait(60) for name, child in forked.items()},
        "last_words": {name: child.last_words() for name, child in forked.items()},
        "said": forked["fine"].said(),
        "bug_has_traceback": "Traceback" in forked["bug"].said(),
        "mistake_has_none": "Traceback" not in forked["mistake"].said(),
        "still_running": still is None,
        "killed": sleeping.kill(),
        "killed_again": sleeping.kill(),
        "ended_with_the_others": outlive(children, folder),
        "environment_is_untouched": "GIVEN" not in os.environ,
    }
    print(json.dumps(findings))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
