"""`finetune evaluate`: score a run's weights, or a base model, on a split."""

from pathlib import Path

from finetune.commands.caches import all_rows, with_caches
from finetune.commands.description import describe_evaluation
from finetune.commands.reporting import reporter_for, told
from finetune.commands.run_identity import run_folder, scored_difference
from finetune.commands.session import evaluation_parts, evaluator_of, load_weights, open_session
from finetune.config.commands import EvaluateCommand
from finetune.config.naming import as_file_name, digest
from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient
from finetune.evaluate.runner import evaluate_all, report_evaluation


def evaluate(
    config: RunConfig, command: EvaluateCommand, ingredients: tuple[Ingredient, ...], experiment: str | None = None
) -> None:
    """Generate text for every sample and score it, in a folder of its own below the run's.

    Args:
        experiment: The experiment that was chosen, if one was.

    Raises:
        ValueError: If the run has no such checkpoint, or no sample can be used.
    """
    session = open_session(config, is_adapted=command.run is not None)
    step = load_weights(session, command.weights) if command.run is not None else 0
    folder = evaluation_folder(config, command, step)
    reporter = reporter_for(session, folder)
    reporter.start(describe_evaluation(session, command, step, experiment))
    with told(session, reporter, folder):
        reporter.rewind(-1)
        session = with_caches(session, all_rows(ingredients, config.evaluation.num_samples), reporter.progress)
        result = evaluate_all(evaluation_parts(session, ingredients), evaluator_of(session, reporter.progress))
        report_evaluation(result, reporter, step)
    session.ranks.end()


def evaluation_folder(config: RunConfig, command: EvaluateCommand, step: int) -> Path:
    """Return where an evaluation's files go: training's own must stay as training wrote them.

        finetune evaluate run=R                          R/evaluations/eval_split-step-00000100
        finetune evaluate run=R split=test               R/evaluations/test-step-00000100
        finetune evaluate run=R evaluation.num_beams=4   R/evaluations/eval_split-step-00000100-5f2b8c1d
        finetune evaluate name=R                         R/evaluations/eval_split-base-0c9d3e71

    What is scored in another way than in training, or without training, has a place of its own for each way.
    """
    weights = "base" if command.run is None else f"step-{step:08d}"
    difference = scored_difference(config, is_run=command.run is not None)
    suffix = f"-{digest(difference)}" if difference else ""
    return run_folder(config) / "evaluations" / f"{as_file_name(command.split or 'eval_split')}-{weights}{suffix}"
