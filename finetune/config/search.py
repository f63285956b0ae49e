"""A search by Optuna that is kept on disk, so that the same command again goes on with it.

Optuna's own sweeper would make `n_trials` more trials each time, the first of them the same ones, and leave those that
were interrupted half-way. So the study is put in order before the sweeper opens it, and it is told what is left.
"""

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_module

from finetune.commands.run_lock import locked
from finetune.config.replay import quoted
from finetune.config.sweeps import decisive, fixed, is_given, sweep_name
from finetune.evaluate.metrics.direction import has_direction, is_better

if TYPE_CHECKING:
    from optuna import Study

_COMMAND = "command"
# What Optuna says of the best of no trials, by kind of storage.
_NO_BEST_TRIAL = ("No trials are completed", "Record does not exist")
# In place of the sweeper's own: what one trial scores guides the next one, and a failed trial is one point less.
_DEFAULTS = ("hydra.sweeper.n_jobs=1", "hydra.sweeper.max_failure_rate=1.0")


@contextmanager
def continued_search(command: str, words: Sequence[str], config_dir: str | None) -> Iterator[list[str]]:
    """Open the study that `words` mean, and yield overrides that let Optuna's sweeper make what is missing of it.

    No other process searches in the study inside the block. Its outcome is printed at the end.

    Raises:
        ValueError: If nothing says what is better, or a study of that name is another one.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ValueError("hydra/sweeper=optuna needs Optuna: pip install 'paligemma-finetune[sweeps]'")
    if command != "train":
        raise ValueError(f"hydra/sweeper=optuna searches with finetune train; finetune {command} has no score to give")
    composed = _composed(command, words, config_dir)
    sweeper, sampler, name = composed.hydra.sweeper, composed.hydra.sweeper.sampler, sweep_name(words)
    if is_given("hydra.sweeper.direction", words):
        raise ValueError("hydra.sweeper.direction is that of evaluation.best_metric; leave it out")
    direction = _direction(composed.evaluation.best_metric)
    folder = Path(str(composed.runs)) / ".multirun" / name
    with locked(folder):
        storage = sweeper.storage or f"sqlite:///{folder / 'study.db'}"
        study = _open(storage, sweeper.study_name or name, direction)
        _require_same(study, decisive(words), folder)
        _take_up_interrupted(study)
        num_done = _num_done(study)
        num_left = max(0, sweeper.n_trials - num_done)
        if num_done:
            print(f"finetune {command}: search {study.study_name}: {num_done} trials are there, {num_left} to go")
        try:
            yield [
                *(text for text in _DEFAULTS if not is_given(text.partition("=")[0], words)),
                f"hydra.sweeper.direction={direction}",
                f"hydra.sweeper.storage={quoted(storage)}",
                f"hydra.sweeper.study_name={quoted(study.study_name)}",
                f"hydra.sweeper.n_trials={num_left}",
                f"hydra.sweep.dir={quoted(str(folder))}",
                # A sampler begins anew in each process: with the same seed it would draw its first trials again.
                *([f"hydra.sweeper.sampler.seed={(sampler.seed or 0) + num_done}"] if "seed" in sampler else []),
            ]
        except ValueError as error:
            # The sweeper has no best trial to show then; why each of them failed was told.
            if not str(error).startswith(_NO_BEST_TRIAL):
                raise
        _tell(study, str(composed.evaluation.best_metric))


def _composed(command: str, words: Sequence[str], config_dir: str | None) -> Any:
    """Compose what all trials share."""
    search = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir is not None else []
    with initialize_config_module("conf", version_base="1.3"):
        return compose(command, [*search, *fixed(words)], return_hydra_config=True)


def _direction(metric: str | None) -> str:
    """Return minimize or maximize, as the score has it."""
    if metric is None:
        raise ValueError("hydra/sweeper=optuna needs evaluation.best_metric=<score>: what the search makes better")
    if not has_direction(metric):
        raise ValueError(
            f"evaluation.best_metric={metric} says what was measured; no value of it is better than another"
        )
    return "maximize" if is_better(metric, 1.0, 0.0) else "minimize"


def _open(storage: str, name: str, direction: str) -> "Study":
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    # What is used here of what Optuna 2 calls experimental, Optuna 3 calls stable.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # A trial that failed has said why.
    logging.getLogger("hydra_plugins").addHandler(logging.NullHandler())
    logging.getLogger("hydra_plugins").propagate = False
    return optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)


def _require_same(study: "Study", settings: list[str], folder: Path) -> None:
    """Refuse to mix the trials of two searches, whose scores could not be compared."""
    recorded = study.user_attrs.get(_COMMAND)
    if recorded is None:
        study.set_user_attr(_COMMAND, settings)
    elif recorded != settings:
        differences = [f"  was {text}" for text in recorded if text not in settings]
        differences += [f"  is now {text}" for text in settings if text not in recorded]
        raise ValueError(
            f"the search in {folder} was begun with other settings; set them back, or give this one another name\n"
            + "\n".join(differences)
        )


def _take_up_interrupted(study: "Study") -> None:
    """Queue the trials again that an earlier process was in: their runs go on from their checkpoints."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _num_done(study: "Study") -> int:
    """Count the trials that have a score; those that failed are made up for."""
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _tell(study: "Study", metric: str) -> None:
    if num_done := _num_done(study):
        best = study.best_trial
        settings = " ".join(f"{name}={value}" for name, value in best.params.items())
        print(f"finetune train: search {study.study_name}: {num_done} trials, best {metric} {best.value:g}: {settings}")
