"""The self-test on a run's own model and its own first examples."""

from dataclasses import replace

from finetune.commands.session import Session
from finetune.data.encode import Encoded
from finetune.data.mixture import TrainingSet
from finetune.data.order import rng_for
from finetune.evaluate.self_test import SelfTestReport, run_self_test
from finetune.types import BadSampleError


def prove(session: Session, training_set: TrainingSet) -> SelfTestReport:
    """Run the self-test on the first usable examples of the training order.

    Raises:
        SelfTestError: If the model does not compute what it should, by the failed check's name.
        ValueError: If no example can be used.
    """
    encoded = first_examples(session, training_set, session.config.self_test.num_examples)
    tokenizer = session.loaded.tokenizer
    with session.ranks.autocast():
        return run_self_test(
            session.loaded.model,
            [one.tokenized for one in encoded],
            [one.pixels_u8 for one in encoded],
            image_token_id=tokenizer.image_token_id,
            eos_id=tokenizer.eos_id,
            vocabulary_size=tokenizer.vocabulary_size,
        )


def first_examples(session: Session, training_set: TrainingSet, num_examples: int) -> list[Encoded]:
    """Encode the first samples of the training order that can be used, looking at one epoch at most.

    Raises:
        ValueError: If none can.
    """
    examples: list[Encoded] = []
    problem = ""
    for position in range(len(training_set)):
        if len(examples) == num_examples:
            break
        draw = training_set.draw(position)
        try:
            sample = replace(draw.ingredient.source[draw.index], visit=draw.epoch)
            rng = rng_for(session.config.seed, draw.epoch, sample.sample_id)
            examples.append(session.encoder.encode(sample, draw.ingredient.recipe, rng))
        except BadSampleError as error:
            problem = str(error)
    if not examples:
        raise ValueError(f"not one of {len(training_set)} training samples can be used; the last one: {problem}")
    return examples
