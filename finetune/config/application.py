"""Hydra: reads a command's words, composes its configuration, and calls back once or once for each job of a sweep."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import NoReturn

import hydra

# The flags of `hydra.main` have no public parser, and only it can tell them from the settings between them.
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from finetune.config.mistakes import check_overrides, check_own, explain
from finetune.config.naming import job_name, run_name
from finetune.config.positional import as_settings
from finetune.config.queued import watched_queue
from finetune.config.register import COMMANDS, STANDALONE, own_fields, register
from finetune.config.replay import CommandLine, replayed
from finetune.config.schema import RunConfig
from finetune.config.search import continued_search
from finetune.config.sweeps import chosen, sweep_name, varied_keys
from finetune.reporting.trackers import WandbTracker

_QUEUES = ("slurm", "processes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a command, as Hydra composed it.

    Args:
        composed: Every setting, for `finetune.config.parse`.
        line: What was typed, of a sweep this job's part.
        choices: The chosen file of each group.
        number: Its number in a sweep; None: there is no sweep.
        varied: Its overrides of what the sweep varies.
        sweep: The sweep's name.
        is_queued: Whether a queue runs it, in a process of its own.
    """

    composed: DictConfig
    line: CommandLine
    choices: Mapping[str, str | None]
    number: int | None = None
    varied: tuple[str, ...] = ()
    sweep: str | None = None
    is_queued: bool = False

    @property
    def plugins(self) -> list[str]:
        """The packages of the user's own."""
        return [str(plugin) for plugin in self.composed.plugins]

    def name_run(self, config: RunConfig) -> None:
        """Give the run its name: the user's or one made of the choices, and for a sweep's job what tells it apart.

        W&B shows the jobs of a sweep as one group, unless the user has named another.
        """
        given = config.name
        config.name = given if given is not None else run_name(self.choices, config.seed)
        if self.number is not None:
            config.name = job_name(config.name, self.varied, is_derived=given is None)
            if isinstance(config.tracking, WandbTracker) and config.tracking.group is None:
                config.tracking = replace(config.tracking, group=self.sweep)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    flags: list[str]
    overrides: list[str]
    config_dir: str | None = None
    varied_keys: frozenset[str] = field(default_factory=frozenset)
    sweep: str | None = None
    is_queued: bool = False


def compose_and_call(command: str, words: Sequence[str], call: Callable[[Job], float | None]) -> int:
    """Let Hydra do what `words` say, and call `call` with each job that they make.

    Args:
        call: Returns what a search makes better, where there is such a thing. In a queue, it is called elsewhere.

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
            varied_keys=varied_keys(overrides),
            sweep=sweep_name(overrides) if arguments.multirun else None,
            is_queued=chosen("hydra/launcher", overrides) in _QUEUES,
        )
        with _sweeping(command, typed) as more:
            return _call_hydra(command, replace(typed, overrides=[*typed.overrides, *more]), call)
        return 0
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
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


@contextmanager
def _sweeping(command: str, typed: _Words) -> Iterator[list[str]]:
    """Prepare what the sweep's launcher and sweeper need, and yield what to tell Hydra beside what was typed."""
    is_search = typed.sweep is not None and chosen("hydra/sweeper", typed.overrides) == "optuna"
    register(command)
    search: AbstractContextManager[list[str]] = (
        continued_search(command, typed.overrides, typed.config_dir) if is_search else nullcontext([])
    )
    with watched_queue() if typed.is_queued else nullcontext(), search as more:
        yield more


def _call_hydra(command: str, typed: _Words, call: Callable[[Job], float | None]) -> int:
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
    # A file of the user's own may say what to vary, too.
    varied = {*typed.varied_keys, *(settings.sweeper.get("params") or {})}
    return Job(
        composed=composed,
        line=CommandLine(
            overrides=overrides, config_dir=config_dir, experiment=settings.runtime.choices.get("experiment")
        ),
        choices=dict(settings.runtime.choices),
        number=int(settings.job.num) if settings.mode is RunMode.MULTIRUN else None,
        varied=tuple(override for override in overrides if override.partition("=")[0] in varied),
        sweep=typed.sweep,
        is_queued=typed.is_queued,
    )


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
