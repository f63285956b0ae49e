"""Learners over real PaliGemma classes of a few thousand weights."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from finetune.engine.distributed import Ranks
from finetune.engine.optimizer import AdamW, OptimizerChoice
from finetune.engine.schedule import Constant, Schedule
from finetune.engine.step import Learner, StepRules, make_learner
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import PartFlags, PartMultipliers, Precision, TrainingSettings

VOCABULARY_SIZE = 40


@pytest.fixture(scope="session")
def ranks() -> Ranks:
    """The one process of these tests."""
    return Ranks(Precision.fp32)


@pytest.fixture
def new_learner(small_paligemma: Callable[..., nn.Module], ranks: Ranks) -> Callable[..., Learner]:
    """Make a learner from scratch, always the same for the same arguments."""

    def make(
        peft: Lora | FullFineTuning = FullFineTuning(),  # noqa: B008 (frozen)
        *,
        choice: OptimizerChoice = AdamW(learning_rate=3e-3),  # noqa: B008 (frozen)
        training: TrainingSettings | None = None,
        freeze: PartFlags | None = None,
        schedule: Schedule = Constant(warmup_ratio=0.0),  # noqa: B008 (frozen)
        total_steps: int = 6,
        ranks: Ranks = ranks,
    ) -> Learner:
        model = small_paligemma(2).requires_grad_(False)
        torch.manual_seed(1)
        peft.apply(model, freeze or PartFlags(), Precision.fp32)
        rules = StepRules(
            training=training or TrainingSettings(),
            schedule=schedule,
            total_steps=total_steps,
            vocabulary_size=VOCABULARY_SIZE,
            seed=7,
        )
        return make_learner(model, choice, PartMultipliers(), ranks, rules)

    return make
