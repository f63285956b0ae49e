"""Full fine-tuning minus what is frozen."""

import pytest
import torch

from finetune.model.choices import TinyModel
from finetune.model.freeze import trainable_by_part
from finetune.peft.full import FullFineTuning
from finetune.settings import PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 1}


@pytest.mark.parametrize("frozen", ["image_encoder", "connector", "embeddings", "decoder"])
def test_everything_trains_except_the_frozen_part(frozen: str) -> None:
    model = TinyModel(dtype=Precision.bf16, **SMALL).load().model
    FullFineTuning().apply(model, PartFlags(**{frozen: True}), Precision.fp32)
    for count in trainable_by_part(model):
        assert count.num_trainable == (0 if count.part.name == frozen else count.num_total)
    for parameter in model.parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16)


def test_freezing_everything_is_refused() -> None:
    freeze = PartFlags(image_encoder=True, connector=True, embeddings=True, decoder=True)
    with pytest.raises(ValueError, match="freezes every part and peft=none adds nothing"):
        FullFineTuning().check(freeze)
