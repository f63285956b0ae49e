"""Another image resolution than the checkpoint's: the position embedding of the image encoder, resized."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PaliGemmaForConditionalGeneration


def resize_grid(grid: Float[Tensor, "old_positions width"], num_positions: int) -> Float[Tensor, "new_positions width"]:
    """Resize a square grid of vectors bilinearly, corners on corners, without smoothing.

    Source:
        big_vision models/vit.py, `resample_posemb` (0127fb6): `scipy.ndimage.zoom(order=1)`, which maps the first and
        the last position onto themselves; torch calls that `align_corners=True`.
    """
    old_side, new_side = round(len(grid) ** 0.5), round(num_positions**0.5)
    image = grid.float().T.reshape(1, -1, old_side, old_side)
    resized = nn.functional.interpolate(image, size=(new_side, new_side), mode="bilinear", align_corners=True)
    return resized.reshape(grid.shape[1], -1).T.contiguous().to(grid.dtype)


def resize_position_embedding(model: PaliGemmaForConditionalGeneration, image_size: int) -> str:
    """Make `model` take square images of `image_size` pixels, in place; return a sentence that says what was done."""
    config = model.config.vision_config
    embeddings = model.model.vision_tower.embeddings
    old_side, new_side = config.image_size // config.patch_size, image_size // config.patch_size
    num_positions = new_side**2
    weight = resize_grid(embeddings.position_embedding.weight.detach(), num_positions)
    embeddings.position_embedding = nn.Embedding(num_positions, weight.shape[1], _weight=weight)
    embeddings.position_ids = torch.arange(num_positions, device=weight.device).expand((1, -1))
    embeddings.image_size = image_size
    embeddings.num_patches = embeddings.num_positions = num_positions
    config.image_size = image_size
    model.config.text_config.num_image_tokens = num_positions
    return f"position embedding resized {old_side}x{old_side} -> {new_side}x{new_side} (bilinear)"
