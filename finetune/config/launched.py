"""What started this process, read from its environment: several processes must be ranks of one run, or be refused."""

import time
from collections.abc import Mapping

from finetune.engine.stops import InterruptedRunError, PreemptedError

_SECONDS_FOR_MAIN_RANK = 3.0
# Requests to stop, upon which all ranks stop together.
_AGREED = (PreemptedError.exit_code, InterruptedRunError.exit_code)
# What MPI and SLURM tell each process of how many they have started; none of them makes ranks of them.
_TASK_COUNTS = {
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
    "MV2_COMM_WORLD_SIZE": "mpirun",
}


def check_launched(environment: Mapping[str, str]) -> None:
    """Refuse to be one of several processes that do not know each other.

    Raises:
        ValueError: Saying what to type instead.
    """
    if "WORLD_SIZE" in environment:
        return
    for variable, launcher in _TASK_COUNTS.items():
        if int(environment.get(variable) or 1) > 1 and not _is_submitted(environment):
            raise ValueError(
                f"{launcher} started {environment[variable]} processes that would each train a run of their own; start "
                "one torchrun on each machine instead, as scripts/slurm/train.sbatch does"
            )
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment:
        # Without --multi_gpu it starts one process, on a CPU at that, however many it was asked for.
        raise ValueError(
            "accelerate launch was asked for several processes and started one; add --multi_gpu, on a machine without "
            "a GPU too, or use torchrun --nproc-per-node <n> -m finetune ..."
        )


def is_told_by_main_rank(code: int, environment: Mapping[str, str]) -> bool:
    """Whether another process says why all of them end, with this exit code.

    A mistake that all ranks make is told once: the launcher ends this process while it waits here for the main rank to
    speak. If it does not, this rank is alone with its mistake.
    """
    if int(environment.get("RANK") or 0) == 0:
        return False
    if code in _AGREED:
        return True
    time.sleep(_SECONDS_FOR_MAIN_RANK)
    return False


def _is_submitted(environment: Mapping[str, str]) -> bool:
    """Whether submitit started the processes: `finetune.config.queued` makes ranks of them."""
    return "SUBMITIT_EXECUTOR" in environment
