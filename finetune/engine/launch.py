"""What a launcher and a host say of a run beside how many processes it has: `distributed=` alone decides."""

import os

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from finetune.engine.distribution import Mode

# What `accelerate launch` sets from its own configuration, and the modes that mean the same.
_PLANS = {
    "ACCELERATE_USE_DEEPSPEED": ("DeepSpeed", (Mode.zero2, Mode.zero3)),
    "ACCELERATE_USE_FSDP": ("FSDP", (Mode.fsdp2,)),
}


def refuse_other_plans(mode: Mode) -> None:
    """Refuse a launcher that was told to divide the run in another way, and forget what it was told in detail.

    Otherwise accelerate would build a plan of its own, of settings that this run does not know.

    Raises:
        ValueError: Naming what to choose.
    """
    for variable, (name, modes) in _PLANS.items():
        if os.environ.get(variable, "false").lower() != "true":
            continue
        if mode not in modes:
            fitting = " or ".join(f"distributed={one.name}" for one in modes)
            raise ValueError(
                f"the launcher was configured for {name} and the run for distributed={mode.name}: choose {fitting}, "
                "or a launcher's configuration without it"
            )
        del os.environ[variable]


def settle_for_cpu(num_processes: int) -> None:
    """Tell libraries that would look for a GPU that there is none, where there is none, before they are imported."""
    if torch.accelerator.is_available():
        return
    # DeepSpeed warns that it finds none. Saving a model imports it, where it is installed.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if num_processes > 1:
        # Without it, accelerate lets each process of a CPU host train its own copy, and says nothing.
        os.environ["ACCELERATE_USE_CPU"] = "true"


def meet_anew() -> TCPStore | None:
    """Let ranks that torchrun has started again find each other, and not those that are gone.

    Its agent keeps one store for all starts, in which the addresses of the first ranks still stand; torch 2.13 has the
    ranks of every start read them there. Here the agent's store only tells where rank 0 opens a new one.

    Returns:
        On rank 0 the store that it has opened, which must live until torch has joined it; None elsewhere.
    """
    start = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if start == 0 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    host, opened = os.environ["MASTER_ADDR"], None
    agent = TCPStore(host, int(os.environ["MASTER_PORT"]), is_master=False)
    key = f"finetune/start-{start}/port"
    if os.environ["RANK"] == "0":
        opened = TCPStore(host, 0, is_master=True, wait_for_workers=False, multi_tenant=True)
        agent.set(key, str(opened.port))
    os.environ["MASTER_PORT"] = agent.get(key).decode()
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"
    return opened
