"""Every precision of the configuration has a torch format."""

import pytest

from finetune.model.dtype import to_torch_dtype
from finetune.settings import Precision


@pytest.mark.parametrize("precision", list(Precision))
def test_every_precision_is_a_floating_point_format_of_its_width(precision: Precision) -> None:
    dtype = to_torch_dtype(precision)
    assert dtype.is_floating_point
    assert dtype.itemsize * 8 == int(precision.name[2:])
