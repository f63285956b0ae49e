import pytest
from torch import nn

from finetune.model.dropout import has_dropout


@pytest.mark.parametrize(("rate", "expected"), [(0.0, False), (0.1, True)])
def test_only_dropout_that_drops_counts(rate: float, expected: bool) -> None:
    assert has_dropout(nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"a": nn.Dropout(rate)}))) is expected
