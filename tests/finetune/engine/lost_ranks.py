"""Two ranks of which one is lost, for `test_distributed_lost_ranks.py`: arguments are a folder, a port, and how.

The rank that is left writes what it said into the folder; its exit code and the seconds that it took are printed.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from finetune.engine.distributed import Ranks
from finetune.engine.distribution import Distribution
from finetune.engine.stops import PeerLostError
from finetune.settings import Precision

STEP_TIMEOUT = 4.0
FATES = {
    "host": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "raised": lambda: sys.exit("a mistake of this rank alone"),
    "hung": lambda: time.sleep(1000),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


def lost_rank(fate: str) -> int:
    """Return who is lost: rank 0 keeps the store that ranks talk through, where no launcher does."""
    return 0 if fate == "host" else 1


def be(rank: int, fate: str) -> None:
    """Do two steps together, and a third that one of them does not come through."""
    # The one that is lost does not end by itself, as one does that cannot even watch.
    limit = 60.0 if rank == lost_rank(fate) else STEP_TIMEOUT
    timeouts = {"init_timeout_seconds": 60.0, "step_timeout_seconds": limit, "wait_timeout_seconds": 60.0}
    ranks = Ranks(Precision.fp32, Distribution(**timeouts))
    for step in range(3):
        with ranks.training(step):
            ranks.sum([1.0])
            if step == 2:
                # Ranks speak once a second, and the last word of the one that is lost shall be of this step.
                time.sleep(2.5)
            if step == 2 and rank == lost_rank(fate):
                print(f"lost at {time.time()}", flush=True)
                FATES[fate]()
            ranks.sum([2.0])
    raise AssertionError("the third step must not end")


def run(rank: int, fate: str, folder: Path, port: int) -> None:
    """Be a rank and end as the command line would."""
    launched = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launched.items()}, MASTER_ADDR="127.0.0.1")
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{fate}-{rank}.{name}", os.O_CREAT | os.O_WRONLY), stream)
    try:
        be(rank, fate)
    except PeerLostError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main(folder: Path, first_port: int, fates: list[str]) -> None:
    torch.set_num_threads(1)
    found = {}
    for number, fate in enumerate(fates):
        children = []
        for rank in (0, 1):
            child = os.fork()
            if not child:
                run(rank, fate, folder, first_port + number)
            children.append(child)
        lost = lost_rank(fate)
        left = 1 - lost
        code = os.waitstatus_to_exitcode(os.waitpid(children[left], 0)[1])
        ended = time.time()
        # What torchrun does with the others.
        os.kill(children[lost], signal.SIGKILL)
        os.waitpid(children[lost], 0)
        lost_at = float((folder / f"{fate}-{lost}.out").read_text().split()[-1])
        said = (folder / f"{fate}-{left}.err").read_text()
        found[fate] = {"code": code, "seconds": ended - lost_at, "said": said}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
