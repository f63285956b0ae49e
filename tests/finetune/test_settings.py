"""The rules of the fixed sections."""

import math
from typing import Any

import pytest

from finetune.settings import (
    CheckpointSettings,
    DataSettings,
    EvaluationSettings,
    PartMultipliers,
    Resize,
    TrainingSettings,
)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (TrainingSettings, {"global_batch_size": 10, "micro_batch_size": 4}, "must be a multiple of"),
        (TrainingSettings, {"max_steps": 5, "epochs": 1.0}, "exactly one of"),
        (TrainingSettings, {"max_steps": None}, "exactly one of"),
        (TrainingSettings, {"label_smoothing": 1.0}, "label_smoothing must be between"),
        (TrainingSettings, {"residual_dropout": 1.0}, "residual_dropout must be between 0 and 0.99"),
        (TrainingSettings, {"residual_dropout": -0.1}, "residual_dropout must be between 0 and 0.99"),
        (TrainingSettings, {"residual_dropout": math.nan}, "residual_dropout must be between 0 and 0.99"),
        (TrainingSettings, {"clip_norm": 0.0}, "clip_norm must be above 0"),
        (TrainingSettings, {"clip_norm": math.nan}, "clip_norm must be above 0"),
        (DataSettings, {"background": 256}, "background must be between"),
        (DataSettings, {"max_text_tokens": 1}, "max_text_tokens must be at least 2"),
        (DataSettings, {"max_pixels": 200_000_000}, "max_pixels must be between"),
        (DataSettings, {"resize": Resize.hf, "antialias": False}, "antialias=false has no effect"),
        (DataSettings, {"resize": Resize.hf_fast, "antialias": False}, "no effect with resize=hf_fast"),
        (DataSettings, {"resize": Resize.hf, "eval_antialias": False}, "antialias=false has no effect"),
        (DataSettings, {"feature_cache": "x", "eval_antialias": False}, "feature_cache keeps one state an image"),
        (DataSettings, {"random_start": True}, "random_start=true needs num_images"),
        (
            DataSettings,
            {"random_start": True, "num_images": 4, "feature_cache": "x"},
            "which random_start=true changes",
        ),
        (DataSettings, {"num_workers": -1}, "num_workers must be at least 0"),
        (DataSettings, {"num_images": 0}, "num_images must be at least 1"),
        (DataSettings, {"max_images": 0}, "max_images must be at least 1"),
        (DataSettings, {"row_tokens": 0}, "row_tokens must be at least 1"),
        (EvaluationSettings, {"patience": 2}, "patience needs best_metric"),
        (EvaluationSettings, {"every_steps": 0}, "every_steps must be at least 1"),
        (CheckpointSettings, {"keep_last": 1}, "keep_last must be at least 2"),
        (PartMultipliers, {"decoder": 0.0}, "decoder must be above 0"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name_and_rule(
    section: type, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        section(**values)


@pytest.mark.parametrize(
    "section", [TrainingSettings, DataSettings, EvaluationSettings, CheckpointSettings, PartMultipliers]
)
def test_the_defaults_keep_their_own_rules(section: type) -> None:
    section()
