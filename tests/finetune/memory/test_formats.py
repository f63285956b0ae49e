"""Without bitsandbytes, what its formats take is known by their sizes."""

from dataclasses import replace

import pytest

from finetune.engine.optimizer import AdamW, AdamW8bit
from finetune.memory.prediction import Shape, Subject
from finetune.model.choices import TinyModel
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora, Quantization
from finetune.settings import Checkpointing, PartFlags, PartMultipliers, TrainingSettings

SHAPE = Shape(num_examples=2, images=1, text_tokens=24, target_tokens=20)
PLAIN = Subject(
    model=TinyModel(vision_width=32, vision_depth=1, decoder_width=64, decoder_depth=2),
    peft=Lora(rank=4),
    freeze=PartFlags(),
    optimizer=AdamW(),
    learning_rates=PartMultipliers(),
    training=TrainingSettings(),
)


@pytest.mark.parametrize(
    ("quantization", "bytes_a_weight"), [(Quantization.nf4, 0.5625), (Quantization.nf4_double, 0.515869140625)]
)
def test_the_decoder_s_linears_take_half_a_byte_a_weight_and_their_scales(
    quantization: Quantization, bytes_a_weight: float
) -> None:
    quantized = replace(PLAIN, peft=Lora(rank=4, quantization=quantization))
    num_weights = sum(
        module.weight.numel()
        for name, module in PLAIN.model.load().model.named_modules()
        if name.endswith("_proj") and "language_model" in name
    )
    plain, packed = (subject.trace(SHAPE, Checkpointing.none) for subject in (PLAIN, quantized))
    assert plain.weights - packed.weights == pytest.approx(num_weights * (4 - bytes_a_weight), abs=1)
    assert packed.saved == plain.saved
    assert packed.peak < plain.peak


def test_8_bit_moments_take_two_bytes_a_parameter_and_their_scales() -> None:
    subject = replace(PLAIN, peft=FullFineTuning(), optimizer=AdamW8bit(min_8bit_size=1))
    traced = subject.trace(SHAPE, Checkpointing.none)
    num_parameters = sum(parameter.numel() for parameter in PLAIN.model.load().model.parameters())
    assert traced.optimizer_states == pytest.approx(2 * num_parameters * (1 + 4 / 256), rel=0.01)
