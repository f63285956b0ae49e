"""What a run reached, read from its folder alone: finished or not, of this version or an earlier one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from finetune.reporting.exit_status import DONE, read_exit_status
from finetune.reporting.run_folder import RunFolder
from finetune.wording import counted

T = TypeVar("T")

EVALUATED = "eval/"
_SPLIT_NAME = re.compile(r"([^\s+\[]+)(\[[^\]]*\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One evaluation of a run: its last one, or one that `finetune evaluate` made.

    Args:
        name: As its folder is called; an evaluation's own after its run's.
        experiment: The experiment that was chosen, if one was.
        dataset: Class of what was evaluated, as `_target_` says it; None: not recorded.
        model: Its published name without the resolution, such as "paligemma2-3b"; None: another model.
        base: What a person would look the base model up by.
        image_size: Side of the square image in pixels; None: not recorded.
        split: What was evaluated.
        scores: By name, as recipes say them.
        best_metric: The score that the run's best checkpoint is chosen by, if one is.
        num_samples: How many samples they are of.
        doubts: Why the scores may not be set beside the published ones, whatever those are.
    """

    name: str
    experiment: str | None
    dataset: str | None
    model: str | None
    base: str
    image_size: int | None
    split: str
    scores: Mapping[str, float]
    best_metric: str | None
    num_samples: int
    doubts: tuple[str, ...]


def read_result(path: Path, name: str) -> RunResult:
    """Return what the run in a folder reached last; without scores where it was not evaluated yet.

    Raises:
        ValueError: If a file of it is damaged.
    """
    try:
        return _read(path, name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, or was written by another version: {error!r}") from error


def is_run(path: Path) -> bool:
    """Whether a folder is a run's or an evaluation's."""
    return (path / "run.json").is_file()


def _read(path: Path, name: str) -> RunResult:
    folder = RunFolder(path=path)
    description = folder.read_description()
    config, subject = description.get("config", {}), description.get("subject") or {}
    step, scores = _last_scores(folder)
    split = subject.get("split") or _setting(config, "dataset", "eval_split") or ""
    return RunResult(
        name=name,
        experiment=_known(subject.get("experiment"), str),
        dataset=_known(_setting(config, "dataset", "_target_"), str),
        model=_known(subject.get("model"), str),
        base=str(description.get("headline", {}).get("model", "")),
        image_size=_known(subject.get("image_size"), int),
        split=split,
        scores=scores,
        best_metric=_known(_setting(config, "evaluation", "best_metric"), str),
        num_samples=0 if step is None else _num_predictions(folder, step),
        doubts=(*_doubts(path, config, subject, split), *_left_out(folder, config, step)),
    )


def _known(value: Any, kind: type[T]) -> T | None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _last_scores(folder: RunFolder) -> tuple[int | None, dict[str, float]]:
    for line in reversed(folder.read_metrics()):
        scores = {name.removeprefix(EVALUATED): value for name, value in line.values.items() if _is_score(name)}
        if scores:
            return line.step, scores
    return None, {}


def _is_score(name: str) -> bool:
    return name.startswith(EVALUATED)


def _num_predictions(folder: RunFolder, step: int) -> int:
    path = folder.predictions / f"step-{step:08d}.jsonl"
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def _doubts(path: Path, config: Mapping[str, Any], subject: Mapping[str, Any], split: str) -> tuple[str, ...]:
    doubts = []
    if not _is_finished(path):
        doubts.append("not finished")
    limit = _setting(config, "evaluation", "num_samples")
    if limit is not None:
        doubts.append(f"evaluation.num_samples={limit}")
    trained = subject.get("trained_split") or ""
    if shares_rows(trained, split):
        doubts.append(f"trained on what it is scored on ({trained})")
    return tuple(doubts)


def _left_out(folder: RunFolder, config: Mapping[str, Any], step: int | None) -> list[str]:
    """Say what the scores of `step` leave out: samples that could not be used, and videos that are not there."""
    told = ["dataset.skip_missing_videos=true"] if _skips_videos(config) else []
    # An evaluation that a killed run did again has listed them twice. One that training met in that very step counts.
    skipped = {(skip["origin"], skip["sample_id"]) for skip in folder.read_skips() if skip["step"] == step}
    return [*told, *([f"{counted(len(skipped), 'sample')} skipped"] if skipped else [])]


def _skips_videos(config: Mapping[str, Any]) -> bool:
    parts = _setting(config, "recipe", "parts") or {}
    sections = [config, *(part for part in parts.values() if part is not None)]
    return any(_setting(section, "dataset", "skip_missing_videos") for section in sections)


def _is_finished(path: Path) -> bool:
    try:
        status = read_exit_status(path)
    except (KeyError, ValueError, TypeError):
        # Written by an earlier version, or cut off: nobody can say that the run came to its end.
        return False
    return status is not None and status.code == DONE


def shares_rows(trained: str, scored: str) -> bool:
    """Whether two expressions such as train+val[:-10240] and val name a split that is whole in one of them.

    Two slices of one split are taken for parts that do not meet.
    """
    first, second = _slices(trained), _slices(scored)
    return any("" in (first[name], second[name]) for name in first.keys() & second.keys())


def _slices(expression: str) -> dict[str, str]:
    return {match[1]: match[2] or "" for match in _SPLIT_NAME.finditer(expression)}


def _setting(config: Mapping[str, Any], section: str, name: str) -> Any:
    inner = config.get(section)
    return inner.get(name) if isinstance(inner, Mapping) else None
