"""What a GPU would keep is counted as its kernels keep it, on a machine without one."""

from dataclasses import replace

import pytest

from finetune.engine.optimizer import AdamW
from finetune.memory.prediction import Shape, Subject
from finetune.model.choices import TinyModel
from finetune.peft.lora import Lora
from finetune.settings import Checkpointing, PartFlags, PartMultipliers, TrainingSettings

WIDTH, DEPTH = 64, 3
SHAPE = Shape(num_examples=2, images=1, text_tokens=24, target_tokens=20)


def subject(generation: int) -> Subject:
    return Subject(
        model=TinyModel(
            generation=generation, vision_width=32, vision_depth=1, decoder_width=WIDTH, decoder_depth=DEPTH
        ),
        peft=Lora(rank=4),
        freeze=PartFlags(),
        optimizer=AdamW(),
        learning_rates=PartMultipliers(),
        training=TrainingSettings(),
    )


@pytest.mark.parametrize("generation", [1, 2])
def test_no_scores_are_counted_whatever_the_length(generation: int) -> None:
    # Long enough for layers, and not the head, to decide the peak.
    shapes = [replace(SHAPE, text_tokens=length) for length in (500, 1000, 2000)]
    short, medium, long = (subject(generation).trace(shape, Checkpointing.none, on_gpu=True).peak for shape in shapes)
    assert long - medium == pytest.approx(2 * (medium - short), rel=0.1)


def test_what_is_offloaded_has_left_the_device() -> None:
    held, offloaded = (
        subject(2).trace(SHAPE, rung, on_gpu=True) for rung in (Checkpointing.all, Checkpointing.offload)
    )
    length = 64 + 1 + 24
    states_of_a_layer = SHAPE.num_examples * length * WIDTH * 4
    assert held.saved - offloaded.saved >= (DEPTH - 1) * states_of_a_layer
    assert offloaded.peak < held.peak
