from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.verification.pair import check_pair, compare_pair


@pytest.mark.parametrize("tree", ["params/", ""])
def test_a_model_is_known_by_the_names_of_its_arrays(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], tree: str
) -> None:
    pair = make_pair(shape(tree=tree))
    assert check_pair(*pair) == "model"
    assert all(comparison.is_within for comparison in compare_pair(*pair))


def test_files_in_the_wrong_order_and_files_of_two_pairs_are_refused(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], tmp_path: Path
) -> None:
    checkpoint, expected = make_pair(shape())
    with pytest.raises(ValueError, match="neither a PaliGemma nor a mask codec; the checkpoint comes first"):
        check_pair(expected, checkpoint)
    np.savez(tmp_path / "other.npz", codes=np.zeros(1))
    with pytest.raises(ValueError, match="does not belong to a model's checkpoint"):
        check_pair(checkpoint, tmp_path / "other.npz")
    with pytest.raises(ValueError, match="EXPECTED: there is no file"):
        check_pair(checkpoint, tmp_path / "nowhere.npz")


def test_pickled_outputs_are_refused(make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]) -> None:
    checkpoint, expected = make_pair(shape())
    np.savez(expected, **dict(np.load(expected)), bad=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"EXPECTED: .* cannot be read"):
        compare_pair(checkpoint, expected)
