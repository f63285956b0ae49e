"""`finetune doctor` as it is typed."""

from collections.abc import Callable

import pytest
import torch

from .conftest import SMALL


@pytest.mark.parametrize("model", ["tiny_random", "tiny1"])
def test_versions_and_proofs_are_printed(
    model: str, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("doctor", f"model={model}", *(word for word in SMALL if not word.startswith("model=")))
    printed = capsys.readouterr().out
    assert f"torch         {torch.__version__}" in printed
    assert "changing the last suffix token moves no earlier logit: 0 (at most 0.0001)" in printed
    assert printed.rstrip().endswith("everything is as it should be")
