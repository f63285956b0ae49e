"""`finetune evaluate`: score a run's weights, or a base model, on a split."""

from pathlib import Path

from finetune.commands.description import describe_run
from finetune.commands.reporting import reporter_for, told
from finetune.commands.session import evaluation_parts, evaluator_of, load_weights, open_session, run_folder
from finetune.config.commands import EvaluateCommand
from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient
from finetune.evaluate.runner import evaluate_all, report_evaluation


def evaluate(config: RunConfig, command: EvaluateCommand, ingredients: tuple[Ingredient, ...]) -> None:
    """Generate text for every sample and score it, in a folder of its own below the run's.

    Raises:
        ValueError: If the run has no such checkpoint, or no sample can be used.
    """
    session = open_session(config, is_adapted=command.run is not None)
    step = load_weights(session, command.weights) if command.run is not None else 0
    folder = evaluation_folder(run_folder(config), command, step)
    reporter = reporter_for(session, folder)
    reporter.start(describe_run(session, 0))
    with told(session, reporter, folder):
        reporter.rewind(-1)
        result = evaluate_all(evaluation_parts(session, ingredients), evaluator_of(session, reporter.progress))
        report_evaluation(result, reporter, step)
    session.ranks.end()


def evaluation_folder(folder: Path, command: EvaluateCommand, step: int) -> Path:
    """Return where an evaluation's files go: training's own must stay as training wrote them."""
    split = command.split or "eval_split"
    return folder / "evaluations" / f"{split}-step-{step:08d}"
