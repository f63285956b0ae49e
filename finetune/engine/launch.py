"""What a launcher and a host say of a run beside how many processes it has: `distributed=` alone decides."""

import os

import torch

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
