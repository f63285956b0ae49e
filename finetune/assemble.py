"""The composition root: from a checked configuration to a running command.

What can be refused without reading a weight is refused here, before the first import of torch: a data set that is not
there, a model's folder that is none, adapters on parts that are frozen. Only then the heavy rooms are imported.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from finetune.benchmark.markdown import markdown
from finetune.benchmark.record import read_record
from finetune.chaos.processes import prepare_environment
from finetune.commands.leaderboard import show_leaderboard
from finetune.commands.mask_codec import check_base_codec, warn_of_codec
from finetune.commands.preflight import (
    check_adapters,
    check_distribution,
    check_precision,
    check_training,
    page_of,
    require_writable,
    require_writable_file,
    warn_of_shared_rows,
)
from finetune.commands.run_identity import require_resumable, require_same_weights, run_folder
from finetune.commands.stand_in import replacements, stand_in
from finetune.commands.submission import layout_of, require_complete
from finetune.config.bench import BenchCommand
from finetune.config.chaos import ChaosCommand
from finetune.config.commands import (
    EvaluateCommand,
    ExportCommand,
    ExportFormat,
    InspectCommand,
    PlanCommand,
    PredictCommand,
    ReportCommand,
    VerifyCommand,
)
from finetune.config.replay import CommandLine
from finetune.config.schema import RunConfig
from finetune.data.division import DividesTraining
from finetune.data.division import divide as divide_samples
from finetune.data.image_groups import group_by_image
from finetune.data.mixture import Ingredient, Mixture, MixturePart, select
from finetune.evaluate.division import Divides, divide
from finetune.export.placing import require_replaceable
from finetune.export.preprocessing import check_same_pixels
from finetune.model.choices import LocalModel, NpzModel
from finetune.types import Dataset
from finetune.verification.pair import recognise_pair

# A run with one task has one ingredient, and nothing to tell it apart from.
SINGLE = ""


def train(config: RunConfig, line: CommandLine) -> None:
    """Train, evaluating as it goes; continue the run if it was interrupted.

    Args:
        line: What was typed, kept with the run for later commands.
    """
    check_choices(config)
    check_distribution(config)
    warn_of_codec(config)
    require_resumable(config)
    training = open_ingredients(config, lambda dataset: dataset.train_split)
    evaluation = open_ingredients(config, lambda dataset: dataset.eval_split, is_asked=True)
    check_training(config, training, evaluation)
    warn_of_shared_rows(config)
    require_writable(run_folder(config), "runs")
    from finetune.commands.training import train as start

    start(config, line, training, evaluation)


def evaluate(config: RunConfig, command: EvaluateCommand, line: CommandLine) -> None:
    """Generate text for a split and score it. `line` is what was typed."""
    check_choices(config)
    if command.run is not None:
        require_same_weights(config)
    evaluation = open_ingredients(config, lambda dataset: command.split or dataset.eval_split, is_asked=True)
    require_writable(run_folder(config), "runs")
    from finetune.commands.evaluation import evaluate as start

    start(config, command, evaluation, line.experiment)


def predict(config: RunConfig, command: PredictCommand) -> None:
    """Generate text for images, or for a split, and write it down."""
    check_choices(config)
    if command.run is not None:
        require_same_weights(config)
    if command.to is not None:
        require_writable_file(Path(command.to), "to")
    if command.drawings is not None:
        require_writable(Path(command.drawings), "drawings")
    if command.submission is not None:
        layout_of(config)
        require_writable_file(Path(command.submission), "submission")
    if command.images:
        from finetune.commands.given_images import ingredients_of

        evaluation = ingredients_of(config, command)
    else:
        evaluation = open_ingredients(config, lambda dataset: command.split or dataset.eval_split, is_asked=True)
    if command.submission is not None:
        require_complete(config, config.dataset, command.split or config.dataset.eval_split, evaluation[0])
    from finetune.commands.prediction import predict as start

    start(config, command, evaluation)


def export(config: RunConfig, command: ExportCommand) -> None:
    """Write a run's weights as an adapter or as a whole model, or a base model in another format."""
    if command.run is not None:
        check_choices(config)
        require_same_weights(config)
    else:
        _check_conversion(config, command)
    if command.to is not None:
        require_replaceable(Path(command.to))
        require_writable(Path(command.to).absolute().parent, "to")
    from finetune.commands.exporting import export as start

    start(config, command)


def inspect(config: RunConfig, command: InspectCommand) -> None:
    """Read a whole split as training would, and show what is in it."""
    check_choices(config)
    ingredients = open_ingredients(config, lambda dataset: command.split or dataset.train_split)
    page = page_of(config, command)
    require_writable_file(page, "to" if command.to is not None else "runs")
    from finetune.commands.inspection import inspect as start

    start(config, page, command, ingredients)


def plan(config: RunConfig, command: PlanCommand) -> None:
    """Tell how much memory training as configured takes."""
    check_choices(config)
    from finetune.commands.planning import plan as start

    start(config, command)


def doctor(config: RunConfig) -> None:
    """Show the versions in use and run the self-test alone."""
    check_choices(config)
    training = open_ingredients(config, lambda dataset: dataset.train_split)
    from finetune.commands.doctor import doctor as start

    start(config, training)


def verify(config: RunConfig, command: VerifyCommand) -> None:
    """Compare what this project computes with what the original did; nothing of the run's settings takes part."""
    pair = recognise_pair(Path(command.npz), Path(command.expected))
    from finetune.commands.verification import verify as start

    start(pair)


def bench(config: RunConfig, command: BenchCommand) -> None:
    """Measure the training step against its peers, or print what was measured; nothing of the run's settings counts."""
    if command.report is not None:
        print(markdown(read_record(Path(command.report))), end="")
        return
    command.check()
    path = command.file(Path(config.runs))
    require_writable_file(path, "to" if command.to is not None else "runs")
    from finetune.commands.benchmark import bench as start

    start(command, path)


def report(config: RunConfig, command: ReportCommand) -> None:
    """Set runs beside the published figures, from their folders alone; nothing of the run's settings counts."""
    if command.to is not None:
        require_writable_file(Path(command.to), "to")
    show_leaderboard(command)


def chaos(config: RunConfig, command: ChaosCommand) -> None:
    """Break the run in every way on a tiny model that stands in for its own, and show which promises held."""
    replaced = replacements(config)
    config = stand_in(config)
    check_choices(config)
    check_distribution(config)
    training = open_ingredients(config, lambda dataset: dataset.train_split)
    evaluation = open_ingredients(config, lambda dataset: dataset.eval_split, is_asked=True)
    check_training(config, training, evaluation)
    assert config.name is not None, "the command line names every run"
    path = command.file(Path(config.runs), config.name)
    require_writable_file(path, "to" if command.to is not None else "runs")
    prepare_environment()
    from finetune.commands.chaos import chaos as start

    start(config, command, (training, evaluation), path, replaced)


def check_choices(config: RunConfig) -> None:
    """Let every choice refuse what it can refuse by itself, and what two settings contradict each other in.

    Raises:
        ValueError: Naming the setting.
    """
    check_precision(config)
    config.model.check()
    config.peft.check(config.freeze)
    config.optimizer.check(config.model.trainable_dtype)
    check_adapters(config)
    _check_base(config)


def _check_conversion(config: RunConfig, command: ExportCommand) -> None:
    """Check what writing a base model in another form depends on: nothing is trained, computed or said."""
    if command.format is ExportFormat.npz and isinstance(config.model, NpzModel):
        config.model.check_arrays()
    else:
        config.model.check()
    _check_base(config)


def _check_base(config: RunConfig) -> None:
    """Refuse a base model that was exported with other pixels or with another mask codec than the command's."""
    if isinstance(config.model, LocalModel):
        check_same_pixels(Path(config.model.path), config.data)
    check_base_codec(config)
    if isinstance(config.model, NpzModel):
        check_same_pixels(config.model.weights_folder, config.data)


def open_ingredients(
    config: RunConfig, split_of: Callable[[Dataset], str], *, is_asked: bool = False
) -> tuple[Ingredient, ...]:
    """Open one split of the run's data set, or of every part of a mixture.

    Rows that a recipe does not want are left out here, which reads every row once (not its image).

    Args:
        is_asked: Whether the model is asked about the samples, and not trained on them: then a sample with several
            questions becomes several. Otherwise one becomes several where its recipe trains on all that it says.

    Raises:
        ValueError: If a data set or a split is not there, or nothing is left of it.
    """
    if not isinstance(config.recipe, Mixture):
        parts = {SINGLE: MixturePart(recipe=config.recipe)}
    else:
        parts = config.recipe.parts
    opened = (_open(name, part, config.dataset, split_of, is_asked=is_asked) for name, part in parts.items())
    if is_asked or not config.data.keep_images_together:
        return tuple(opened)
    return tuple(replace(ingredient, groups=group_by_image(ingredient.source)) for ingredient in opened)


def _open(
    name: str, part: MixturePart, run_dataset: Dataset, split_of: Callable[[Dataset], str], *, is_asked: bool
) -> Ingredient:
    dataset = run_dataset if part.dataset is None else part.dataset
    split = split_of(dataset)
    source = dataset.open(split)
    takes_part = part.recipe.selection()
    if takes_part is not None:
        source = select(source, takes_part)
    if is_asked and isinstance(part.recipe, Divides):
        source = divide(source, part.recipe)
    if not is_asked and isinstance(part.recipe, DividesTraining) and (parts := part.recipe.training_division()):
        source = divide_samples(source, parts)
    if len(source) == 0:
        where = f"recipe.parts.{name}: " if name else ""
        raise ValueError(f"{where}the split {split} has no sample that takes part in the task")
    return Ingredient(name=name, source=source, recipe=part.recipe, weight=part.weight)
