"""The choice of AdamW in bf16: which settings it refuses."""

import pytest

from finetune.engine.adamw_bf16 import AdamWBf16
from finetune.settings import Precision


@pytest.mark.parametrize("trainable", [Precision.fp32, Precision.fp16])
def test_weights_in_another_format_are_refused_before_they_are_read(trainable: Precision) -> None:
    with pytest.raises(ValueError, match=r"adamw_bf16 trains weights in bf16, got model\.trainable_dtype=fp"):
        AdamWBf16().check(trainable)
    AdamWBf16().check(Precision.bf16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"state_dtype": Precision.fp16}, "state_dtype must be fp32 or bf16"),
        ({"rounding_seed": -1}, "rounding_seed must be at least 0"),
        ({"beta1": 1.0}, "beta1 must be between"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdamWBf16(**settings)
