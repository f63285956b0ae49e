"""`finetune doctor`: which versions are in use, and whether this model computes what PaliGemma computes."""

import platform
from importlib import metadata

import torch

from finetune import __version__
from finetune.commands.proof import prove
from finetune.commands.session import open_session
from finetune.config.schema import RunConfig
from finetune.data.jpeg import jpeg_decoder
from finetune.data.mixture import Ingredient, TrainingSet

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "deepspeed",
    "bitsandbytes",
    "simplejpeg",
    "datasets",
    "wandb",
)


def doctor(config: RunConfig, training: tuple[Ingredient, ...]) -> None:
    """Print versions, the device, and the self-test's findings.

    Raises:
        SelfTestError: If a check fails, by name.
    """
    for line in versions():
        print(line)
    session = open_session(config, is_adapted=True)
    print(f"device        {session.ranks.device}, {session.ranks.world_size} process(es)")
    for note in session.loaded.notes:
        print(f"model         {note}")
    for line in prove(session, TrainingSet(ingredients=training, seed=config.seed)).lines():
        print(f"self-test     {line}")
    print("everything is as it should be")
    session.ranks.end()


def versions() -> list[str]:
    """Return the versions that matter, one line each; packages that are not installed say so."""
    lines = [f"finetune      {__version__}", f"python        {platform.python_version()}"]
    lines += [f"{name:<13} {_version(name)}" for name in _PACKAGES]
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    decoder = jpeg_decoder()
    jpeg = "Pillow" if decoder is None else f"{decoder.name}, whose pixels are Pillow's"
    return [*lines, f"JPEG          {jpeg}", f"GPU           {accelerator}"]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
