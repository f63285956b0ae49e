"""Shapes that no PaliGemma has are refused by the array's name."""

import pytest

from finetune.model.npz_dimensions import Dimensions, read_dimensions
from finetune.model.npz_layout import array_rules


@pytest.mark.parametrize(
    ("array", "shape", "message"),
    [
        ("img/embedding/kernel", (14, 13, 3, 24), "patches are square, of 3 channels"),
        ("img/embedding/kernel", (14, 14, 4, 24), "patches are square, of 3 channels"),
        ("img/pos_embedding", (1, 15, 24), "15 positions, which is no square image"),
        ("img/pos_embedding", (16, 24), "3 axes are expected"),
        ("llm/embedder/input_embedding", (0, 32), "2 axes are expected"),
        ("llm/layers/attn/kv_einsum/w", None, "the array llm/layers/attn/kv_einsum/w is missing"),
    ],
)
def test_what_is_no_paligemma_is_refused_by_name(
    dimensions: Dimensions, array: str, shape: tuple[int, ...] | None, message: str
) -> None:
    shapes = {rule.array: rule.shape for rule in array_rules(dimensions)}
    if shape is None:
        del shapes[array]
    else:
        shapes[array] = shape
    with pytest.raises(ValueError, match=message) as error:
        read_dimensions(shapes)
    assert array in str(error.value)


def test_the_image_size_follows_from_positions_and_patches(dimensions: Dimensions) -> None:
    assert dimensions.image_size == 56
