import pytest

from finetune.verification.comparison import Comparison
from finetune.verification.table import print_table


def test_each_quantity_has_a_line_that_says_whether_it_is_equal(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Comparison(quantity="logits", measure="max |difference|", found=3e-6, tolerance=2e-5, detail="27 positions"),
        Comparison(quantity="[loss]", measure="relative", found=1.0, tolerance=1e-6),
    ]
    print_table("a pair", found)
    text = capsys.readouterr().out
    (logits,) = [line for line in text.splitlines() if "logits" in line]
    (loss,) = [line for line in text.splitlines() if "[loss]" in line]
    assert "3e-06" in logits
    assert "yes" in logits
    assert "27 positions" in logits
    assert "NO" in loss
