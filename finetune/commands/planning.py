"""`finetune plan`: what a training step will take of a card's memory, before a weight is loaded."""

from rich.console import Console
from rich.table import Table

from finetune.commands.memory import subject_of
from finetune.config.commands import PlanCommand
from finetune.config.schema import RunConfig
from finetune.memory.card import Card
from finetune.memory.prediction import GIB, LADDER, Prediction, Shape, longest_shape
from finetune.reporting.progress import progress_for
from finetune.settings import Checkpointing

_TASK = "tracing"


def plan(config: RunConfig, command: PlanCommand) -> None:
    """Trace a step for every way of checkpointing; print what each takes and what fits."""
    shape = longest_shape(config.training, config.data, text_tokens=command.text_tokens)
    card = Card.of_size(command.card_gib) if command.card_gib is not None else Card.here()
    predictions = _trace(config, shape, on_gpu=card.is_gpu)
    inputs = config.model.read_inputs()
    image_tokens = shape.images * inputs.num_image_tokens
    step = predictions[0].step
    print(
        f"{shape.num_examples} examples of {image_tokens} image tokens and {shape.text_tokens} text tokens, "
        f"{config.training.precision.name}\n"
        f"weights {_gib(step.weights)}, gradients {_gib(step.gradients)}, optimizer {_gib(step.optimizer_states)}\n"
        f"{card}"
    )
    Console(highlight=False).print(_table(predictions, card))
    fitting = card.first_that_fits(predictions)
    print(_advice(fitting, config.training.gradient_checkpointing), flush=True)


def _trace(config: RunConfig, shape: Shape, *, on_gpu: bool) -> list[Prediction]:
    progress = progress_for(is_main=True)
    subject = subject_of(config)
    progress.begin(_TASK, len(LADDER))
    predictions = []
    for number, rung in enumerate(LADDER, start=1):
        predictions.append(subject.predict(shape, rung, on_gpu=on_gpu))
        progress.advance(_TASK, number, {})
    progress.end(_TASK)
    progress.close()
    return predictions


def _table(predictions: list[Prediction], card: Card) -> Table:
    table = Table("gradient_checkpointing", box=None)
    for heading in ("kept for backward", "peak", "fits", "largest micro-batch"):
        table.add_column(heading, justify="right")
    for one in predictions:
        table.add_row(
            one.rung.name,
            _gib(one.step.saved),
            _gib(card.taken(one.step.peak)),
            "yes" if card.fits(one.step.peak) else "no",
            str(one.largest(card.free_for_tensors)),
        )
    return table


def _advice(fitting: Prediction | None, asked: Checkpointing) -> str:
    if fitting is None:
        return "nothing fits: lower training.micro_batch_size, data.max_text_tokens or model.image_size"
    if asked is Checkpointing.auto:
        return f"training.gradient_checkpointing=auto will choose {fitting.rung.name}"
    return f"the fastest that fits is training.gradient_checkpointing={fitting.rung.name}; {asked.name} is asked for"


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.2f} GiB"
