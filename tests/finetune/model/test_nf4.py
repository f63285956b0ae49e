"""What is known about weights in NF4 without bitsandbytes: on a plain model, nothing changes."""

import torch
from torch import nn

from finetune.model.nf4 import dense_weight, is_nf4, nf4_notes, num_weights


def test_a_plain_weight_is_itself() -> None:
    linear = nn.Linear(4, 6)
    assert not is_nf4(linear)
    assert num_weights(linear.weight) == 24
    assert dense_weight(linear.weight, torch.float32) is linear.weight
    assert dense_weight(linear.weight, torch.bfloat16).dtype == torch.bfloat16


def test_nothing_is_said_of_a_model_without_quantised_weights() -> None:
    assert nf4_notes(nn.Sequential(nn.Linear(4, 4), nn.Embedding(3, 4))) == ()
