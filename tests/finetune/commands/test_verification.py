"""`finetune verify` as it is typed, on the original's own files."""

from pathlib import Path

import numpy as np
import pytest

from finetune import cli

PAIRS = ["paligemma1_tiny", "paligemma2_tiny", "mask_vqvae_random"]
QUERY = "params/img/Transformer/encoderblock/MultiHeadDotProductAttention_0/query/kernel"
KEY = QUERY.replace("query", "key")


def verify(checkpoint: Path, expected: Path) -> int:
    return cli.run(["verify", str(checkpoint), str(expected)])


@pytest.mark.parametrize("name", PAIRS)
def test_the_originals_pairs_are_equal(oracles: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(oracles / f"{name}.checkpoint.npz", oracles / f"{name}.expected.npz") == 0
    told = capsys.readouterr().out
    assert "NO" not in told
    assert "are within what is allowed" in told


def test_one_swapped_kernel_ends_with_one_and_says_what_differs(
    oracles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = dict(np.load(oracles / "paligemma2_tiny.checkpoint.npz"))
    arrays[QUERY], arrays[KEY] = arrays[KEY], arrays[QUERY]
    np.savez(tmp_path / "swapped.npz", **arrays)
    assert verify(tmp_path / "swapped.npz", oracles / "paligemma2_tiny.expected.npz") == 1
    told = capsys.readouterr()
    assert "NO" in told.out
    assert told.err.startswith("finetune verify: not the original's numbers: image tokens: max |difference|")
    assert len(told.err.splitlines()) == 1


def test_a_mistake_ends_with_two(oracles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = oracles / "paligemma2_tiny.checkpoint.npz", oracles / "paligemma2_tiny.expected.npz"
    assert verify(tmp_path / "nowhere.npz", pair[1]) == 2
    assert "CHECKPOINT: there is no file" in capsys.readouterr().err
    assert verify(pair[1], pair[0]) == 2
    assert cli.run(["verify", str(pair[0])]) == 2
    assert "expected must be given" in capsys.readouterr().err
