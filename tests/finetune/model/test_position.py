"""Resizing the position embedding as the original does."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.model.choices import LocalModel, TinyModel
from finetune.model.position import resize_grid

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 1}


@given(st.integers(2, 9), st.integers(2, 9))
def test_a_ramp_stays_a_ramp_with_its_corners_in_place(old_side: int, new_side: int) -> None:
    old, new = (torch.linspace(0, 1, side).repeat(side, 1) for side in (old_side, new_side))
    grid = torch.stack([old.flatten(), old.T.flatten()], dim=1)
    expected = torch.stack([new.flatten(), new.T.flatten()], dim=1)
    torch.testing.assert_close(resize_grid(grid, new_side**2), expected)


def test_values_between_positions_are_interpolated_as_scipy_does() -> None:
    # scipy.ndimage.zoom([[0, 3], [6, 9]], 2, order=1)
    grid = torch.tensor([[0.0], [3.0], [6.0], [9.0]])
    expected = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]
    torch.testing.assert_close(resize_grid(grid, 16).reshape(4, 4), torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("image_size", [224, 56])
def test_a_checkpoint_takes_another_resolution_and_says_so(tmp_path: Path, image_size: int) -> None:
    original = TinyModel(**SMALL).load()
    original.model.save_pretrained(tmp_path)
    shutil.copyfile(original.processor_source / "tokenizer.json", tmp_path / "tokenizer.json")
    loaded = LocalModel(path=str(tmp_path), image_size=image_size).load()
    side = image_size // 14
    assert (loaded.image_size, loaded.base_image_size, loaded.num_image_tokens) == (image_size, 112, side**2)
    assert loaded.notes[-1] == f"position embedding resized 8x8 -> {side}x{side} (bilinear)"
    weight = loaded.model.model.vision_tower.embeddings.position_embedding.weight
    before = original.model.model.vision_tower.embeddings.position_embedding.weight
    torch.testing.assert_close(weight[0], before[0])
    torch.testing.assert_close(weight[-1], before[-1])
    images = loaded.model.model.get_image_features(torch.zeros(1, 3, image_size, image_size)).pooler_output
    assert images.shape == (1, side**2, 64)
    # And what is saved now is a checkpoint of that resolution.
    loaded.model.save_pretrained(tmp_path)
    again = LocalModel(path=str(tmp_path)).load()
    assert (again.image_size, again.notes[-1]) == (image_size, "full attention in every layer")


def test_the_same_resolution_changes_nothing(tmp_path: Path) -> None:
    original = TinyModel(**SMALL).load()
    original.model.save_pretrained(tmp_path)
    shutil.copyfile(original.processor_source / "tokenizer.json", tmp_path / "tokenizer.json")
    loaded = LocalModel(path=str(tmp_path), image_size=112).load()
    assert not any("resized" in note for note in loaded.notes)
