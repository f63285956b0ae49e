"""The `finetune` command: one Hydra application for each of its commands, over the packaged `conf/`.

    finetune train recipe=detection dataset=voc dataset.root=~/cells training.max_steps=500
    finetune evaluate run=runs/detection-voc-tiny-lora-seed0 weights=best

A mistake in a command line is answered in one or two lines, before torch is imported, with exit code 2.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from finetune import __version__
from finetune.config.build import PACKAGES
from finetune.config.mistakes import check_overrides, explain
from finetune.config.names import hint
from finetune.config.naming import job_name, run_name
from finetune.config.parse import parse, parse_command
from finetune.config.register import COMMANDS, own_fields, register
from finetune.config.replay import replayed
from finetune.config.schema import RunConfig

EXIT_BUG = 1
EXIT_MISTAKE = 2
EXIT_PREEMPTED = 75
EXIT_INTERRUPTED = 130

# Read before `_seen_by_hydra` sets it for this process.
_WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"
_HELP = ("-h", "--help", "help")
_COMPLETION = ("-sc", "--shell-completion")


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run one command line, given without the program's name, and return its exit code."""
    if not words or words[0] in _HELP:
        print(_overview())
        return 0
    if "--version" in words:
        print(f"finetune {__version__}")
        return 0
    if words[0] in _COMPLETION:
        return _complete(words)
    command = words[0]
    if command not in COMMANDS:
        print(f"finetune: there is no command {command}; {hint(command, COMMANDS)}", file=sys.stderr)
        return EXIT_MISTAKE
    return _guarded(command, lambda: _compose_and_run(command, words[1:]), packages=PACKAGES)


def _overview() -> str:
    """List the commands with the first line of each one's help."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:<{width}}  {_summary(command)}" for command in COMMANDS]
    return "\n".join(
        [
            "Fine-tune PaliGemma on your images.",
            "",
            "finetune <command> [name=value ...]",
            "",
            *lines,
            "",
            "finetune <command> --help      what it does, its choices and examples",
            "finetune <command> --cfg job   every setting with its value",
            "finetune --version",
            'Completion: eval "$(finetune -sc install=bash)" (zsh takes the same line)',
        ]
    )


def _summary(command: str) -> str:
    header = OmegaConf.load(str(resources.files("conf") / f"{command}.yaml")).hydra.help.header
    return str(header).partition("\n")[0]


def _compose_and_run(command: str, words: Sequence[str]) -> int:
    """Let Hydra compose the configuration and call the command, once or once for each job of a sweep."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(list(words))
    if arguments.experimental_rerun is not None:
        raise ValueError("--experimental-rerun reads a pickle, which can run code; use run=<folder> instead")
    flags = [word for word in words if word not in arguments.overrides]
    overrides = list(arguments.overrides)
    try:
        check_overrides(overrides, is_sweep=arguments.multirun or arguments.shell_completion)
        if "run" in _own_settings(command):
            overrides = replayed(overrides)
        return _call_hydra(command, flags, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, command, overrides, arguments.config_dir)) from error


def _call_hydra(command: str, flags: Sequence[str], overrides: Sequence[str]) -> int:
    register(command)
    codes: list[int] = []

    def job(composed: DictConfig) -> None:
        # Hydra writes a line of its own for an exception that leaves a job, so none does.
        plugins = [str(plugin) for plugin in composed.plugins]
        codes.append(_guarded(command, lambda: _execute(command, composed), packages=[*PACKAGES, *plugins]))
        if codes[-1] in (EXIT_PREEMPTED, EXIT_INTERRUPTED):
            sys.exit(codes[-1])

    application = hydra.main(version_base="1.3", config_path="pkg://conf", config_name=command)(job)
    try:
        with _seen_by_hydra([*flags, *overrides]):
            application()
    except SystemExit as stop:
        return int(stop.code or 0)
    return next((code for code in codes if code), 0)


def _execute(command: str, composed: DictConfig) -> int:
    """Check everything, then hand over to the composition root, whose rooms import torch."""
    own = COMMANDS[command]
    config = parse(composed, _own_settings(command))
    settings = parse_command(composed, own) if own is not None else None
    job = HydraConfig.get()
    overrides = [str(override) for override in job.overrides.task]
    is_sweep = job.mode is RunMode.MULTIRUN
    name_run(config, dict(job.runtime.choices), overrides, is_sweep=is_sweep and getattr(settings, "run", None) is None)
    if is_sweep:
        print(f"finetune {command}: job {job.job.num}: {' '.join(overrides)}", flush=True)

    from finetune import assemble

    if command == "train":
        assemble.train(config, overrides)
    elif settings is None:
        assemble.doctor(config)
    else:
        getattr(assemble, command)(config, settings)
    return 0


def name_run(config: RunConfig, choices: Mapping[str, str | None], overrides: Sequence[str], *, is_sweep: bool) -> None:
    """Give the run its name: the user's or one made of the choices, and for a sweep's job what tells it apart."""
    given = config.name
    config.name = given if given is not None else run_name(choices, config.seed)
    if is_sweep:
        config.name = job_name(config.name, overrides, is_derived=given is None)


def _own_settings(command: str) -> list[str]:
    return [field.name for field in own_fields(COMMANDS[command])]


def _complete(words: Sequence[str]) -> int:
    """Answer a shell's completion query, in which `finetune <command>` stands where Hydra expects one word."""
    line = os.environ.get("COMP_LINE", "")
    typed = line.split()
    is_query = any(word.startswith("query=") for word in words)
    if is_query and len(typed) + line.endswith(" ") <= 2:
        print("\n".join(command for command in COMMANDS if command.startswith("".join(typed[1:2]))))
        return 0
    command = typed[1] if is_query else "train"
    if command not in COMMANDS:
        return 0
    if is_query:
        os.environ["COMP_LINE"] = " ".join([typed[0], *typed[2:]]) + " " * line.endswith(" ")
    return _guarded(command, lambda: _call_hydra(command, words, []), packages=PACKAGES)


def _guarded(command: str, action: Callable[[], int], *, packages: Sequence[str]) -> int:
    """Run `action` and turn what it raises into a message and an exit code."""
    try:
        return action()
    except KeyboardInterrupt:
        code, message = EXIT_INTERRUPTED, "interrupted"
    except Exception as error:
        code, message = _exit_code(error, packages), str(error)
        if code == EXIT_BUG or _WANTS_TRACEBACK:
            traceback.print_exception(error)
            return code
    first, *rest = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    print("\n".join([f"finetune {command}: {first}", *([" ".join(rest)] if rest else [])]), file=sys.stderr)
    return code


def _exit_code(error: Exception, packages: Sequence[str]) -> int:
    """Return the error's own code; a ValueError is the user's mistake where our code or a plug-in raised it."""
    if hasattr(error, "exit_code"):
        return int(error.exit_code)
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    is_mistake = isinstance(error, ValueError) and package in (*packages, "hydra", "omegaconf")
    return EXIT_MISTAKE if is_mistake else EXIT_BUG


def _refuse(message: str) -> NoReturn:
    raise ValueError(f"{message}; settings are written name=value, and finetune <command> --help lists the flags")


@contextmanager
def _seen_by_hydra(words: Sequence[str]) -> Iterator[None]:
    """Show Hydra these words as the command line, and have it raise its errors instead of printing them."""
    before = sys.argv
    sys.argv = [before[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
