"""How a run came out, read from its folder: what a sweep wants to know of its jobs. Imports without torch."""

from typing import Any

from finetune.commands.run_identity import require_resumable, run_folder
from finetune.config.schema import RunConfig
from finetune.evaluate.metrics.direction import is_better
from finetune.reporting.exit_status import DONE, read_exit_status
from finetune.reporting.run_folder import RunFolder

# What a run is asked for beside what identifies it: with another of these, a finished run may have more to do.
_LENGTHS = (
    ("training", "max_steps"),
    ("training", "epochs"),
    ("evaluation", "patience"),
    ("evaluation", "best_metric"),
)


def is_done(config: RunConfig) -> bool:
    """Whether the run was trained with these settings to the end that they ask for."""
    folder = run_folder(config)
    status = read_exit_status(folder)
    if status is None or status.code != DONE:
        return False
    if not _is_as_long(config, RunFolder(path=folder).read_description().get("config", {})):
        return False
    try:
        require_resumable(config)
    except ValueError:
        # To be told by the training that is not skipped.
        return False
    return True


def objective(config: RunConfig) -> float | None:
    """Return the best value of evaluation.best_metric after training began; None without that setting or a value."""
    metric = config.evaluation.best_metric
    if metric is None:
        return None
    best: float | None = None
    for line in RunFolder(path=run_folder(config)).read_metrics():
        value = line.values.get(f"eval/{metric}")
        if line.step > 0 and value is not None and is_better(metric, value, best):
            best = value
    return best


def _is_as_long(config: RunConfig, stored: dict[str, Any]) -> bool:
    return all(
        stored.get(section, {}).get(name) == getattr(getattr(config, section), name) for section, name in _LENGTHS
    )
