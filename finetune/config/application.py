"""Hydra: reads a command's words, composes its configuration, and calls back once or once for each job of a sweep."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NoReturn

import hydra

# The flags of `hydra.main` have no public parser, and only it can tell them from the settings between them.
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from finetune.config.mistakes import check_overrides, check_own, explain
from finetune.config.naming import job_name, run_name
from finetune.config.positional import as_settings
from finetune.config.register import COMMANDS, STANDALONE, own_fields, register
from finetune.config.replay import CommandLine, replayed
from finetune.config.schema import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a command, as Hydra composed it.

    Args:
        composed: Every setting, for `finetune.config.parse`.
        line: What was typed, of a sweep this job's part.
        choices: The chosen file of each group.
        number: Its number in a sweep; None: there is no sweep.
        varied: Its overrides of what the sweep varies.
    """

    composed: DictConfig
    line: CommandLine
    choices: Mapping[str, str | None]
    number: int | None = None
    varied: tuple[str, ...] = ()

    @property
    def plugins(self) -> list[str]:
        """The packages of the user's own."""
        return [str(plugin) for plugin in self.composed.plugins]

    def name_run(self, config: RunConfig) -> None:
        """Give the run its name: the user's or one made of the choices, and for a sweep's job what tells it apart."""
        given = config.name
        config.name = given if given is not None else run_name(self.choices, config.seed)
        if self.number is not None:
            config.name = job_name(config.name, self.varied, is_derived=given is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    flags: list[str]
    overrides: list[str]
    config_dir: str | None = None
    varied_keys: frozenset[str] = field(default_factory=frozenset)


def compose_and_call(command: str, words: Sequence[str], call: Callable[[Job], None]) -> int:
    """Let Hydra do what `words` say, and call `call` with each job that they make.

    Returns:
        The exit code that Hydra or a job asked for; 0 where none did.

    Raises:
        ValueError: If a word is not a setting, or a setting not of this command.
    """
    arguments = _parser().parse_intermixed_args(list(words))
    if arguments.experimental_rerun is not None:
        raise ValueError("--experimental-rerun reads a pickle, which can run code; use run=<folder> instead")
    overrides = as_settings(command, arguments.overrides)
    try:
        check_overrides(overrides, is_sweep=arguments.multirun or arguments.shell_completion)
        if command in STANDALONE:
            check_own(overrides, own_settings(command))
        typed = _Words(
            flags=[word for word in words if word not in arguments.overrides],
            overrides=replayed(overrides, arguments.config_dir) if "run" in own_settings(command) else overrides,
            config_dir=arguments.config_dir,
            varied_keys=_varied_keys(overrides),
        )
        return _call_hydra(command, typed, call)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, command, overrides, arguments.config_dir)) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        # Jobs answer for themselves, so this is the folder that Hydra makes for a sweep.
        raise ValueError(f"runs: nothing can be written to {error.filename}: {error.strerror}") from error


def complete(command: str, words: Sequence[str]) -> int:
    """Let Hydra answer a shell's completion query about one command; its flags are `words`."""
    return _call_hydra(command, _Words(flags=list(words), overrides=[]), lambda job: None)


def summary(command: str) -> str:
    """Return the first line of a command's help."""
    header = OmegaConf.load(str(resources.files("conf") / f"{command}.yaml")).hydra.help.header
    return str(header).partition("\n")[0]


def own_settings(command: str) -> list[str]:
    """Return the names of a command's settings beside the run's."""
    return [own.name for own in own_fields(COMMANDS[command])]


def _call_hydra(command: str, typed: _Words, call: Callable[[Job], None]) -> int:
    register(command)
    application = hydra.main(version_base="1.3", config_path="pkg://conf", config_name=command)(
        lambda composed: call(_job(composed, typed))
    )
    try:
        with _seen_by_hydra([*typed.flags, *typed.overrides]):
            application()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def _job(composed: DictConfig, typed: _Words) -> Job:
    settings = HydraConfig.get()
    # As typed: a value that comes from the environment keeps its variable's name.
    task = OmegaConf.to_container(settings.overrides.task, resolve=False)
    assert isinstance(task, list)
    overrides = tuple(str(override) for override in task)
    config_dir = str(Path(typed.config_dir).resolve()) if typed.config_dir is not None else None
    return Job(
        composed=composed,
        line=CommandLine(overrides=overrides, config_dir=config_dir),
        choices=dict(settings.runtime.choices),
        number=int(settings.job.num) if settings.mode is RunMode.MULTIRUN else None,
        varied=tuple(override for override in overrides if override.partition("=")[0] in typed.varied_keys),
    )


def _varied_keys(overrides: Sequence[str]) -> frozenset[str]:
    """Return what a sweep varies, as it stands before the equals sign."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return frozenset(override.get_key_element() for override in parsed if override.is_sweep_override())


def _parser() -> argparse.ArgumentParser:
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    return parser


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
