"""Scorers that print while they work."""

import pytest

from finetune.evaluate.metrics.quiet import silence


def _fail_loudly() -> None:
    with silence():
        print("progress")
        raise ValueError("loud")


def test_print_is_swallowed_and_errors_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="loud"):
        _fail_loudly()
    assert capsys.readouterr().out == ""
