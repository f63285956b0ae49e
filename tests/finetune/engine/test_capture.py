"""What is captured of a learner is all of it, its own copy, and puts the learner back to the bit."""

from collections.abc import Callable

import pytest
import torch

from finetune.engine.capture import capture, restore
from finetune.engine.step import Learner
from finetune.model.trained import trained_state
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora

PEFTS = [Lora(rank=2), FullFineTuning()]
