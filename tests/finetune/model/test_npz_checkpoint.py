"""A file whose names or shapes are not a PaliGemma's is refused before a weight is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.model.npz_checkpoint import inspect_npz
from finetune.model.npz_dimensions import Dimensions

SCALE = "params/llm/final_norm/scale"


def changed(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("tree", ["params/", "opt/target/", ""])
def test_dimensions_are_read_whatever_the_tree(
    write_checkpoint: Callable[..., Path], dimensions: Dimensions, tree: str
) -> None:
    assert inspect_npz(write_checkpoint(tree=tree), setting="model.path").dimensions == dimensions


def test_a_missing_array_is_named(write_checkpoint: Callable[..., Path]) -> None:
    path = changed(write_checkpoint(), lambda arrays: arrays.__delitem__(SCALE))
    with pytest.raises(ValueError, match=r"model\.path: .*: 1 array is missing: llm/final_norm/scale"):
        inspect_npz(path, setting="model.path")


def test_an_array_left_over_is_named(write_checkpoint: Callable[..., Path]) -> None:
    path = changed(write_checkpoint(), lambda arrays: arrays.update({"params/llm/x": np.zeros(1, np.float32)}))
    with pytest.raises(ValueError, match="1 array is not part of such a PaliGemma: llm/x"):
        inspect_npz(path, setting="model.path")


def test_an_array_of_another_shape_is_named_with_both(write_checkpoint: Callable[..., Path]) -> None:
    path = changed(write_checkpoint(), lambda arrays: arrays.update({SCALE: np.zeros(31, np.float32)}))
    with pytest.raises(ValueError, match=r"llm/final_norm/scale \(31,\), not \(32,\)"):
        inspect_npz(path, setting="model.path")


def test_heads_must_share_evenly(write_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="4 query heads cannot share 3 key heads"):
        inspect_npz(write_checkpoint(decoder_key_heads=3), setting="model.path")


def test_something_else_is_no_paligemma(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{"encoder.0.weight": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match=r"holds no PaliGemma: none of its arrays, such as encoder\.0\.weight"):
        inspect_npz(tmp_path / "x.npz", setting="model.path")
