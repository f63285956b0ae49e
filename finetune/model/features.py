"""What a frozen image encoder says of images, computed once and kept: the values behind data.feature_cache.

A number of images at once is always the same number: a kernel may compute another number of rows in another order, and
then differ in the last bits. So what is computed again, after a crash or by another rank, is what would have been read.
Where a trial shows that neighbours do change an image's bits, images are computed one at a time.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from finetune.data.ready_images import ReadyImage, facts_of
from finetune.data.shards import ShardStore
from finetune.model.dtype import to_torch_dtype
from finetune.model.image_encoder import image_states, vision_tower
from finetune.settings import Precision

# Enough rows to fill a GPU at 224 pixels; on a CPU one image does.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureEncoder:
    """A frozen image encoder, ready to compute.

    Args:
        at_once: Images in every forward, padded with black ones.
        autocast: The run's precision, as training has it around the model.
        dtype: What is kept; the connector reads nothing finer in that precision.
    """

    model: nn.Module
    device: torch.device
    autocast: Callable[[], AbstractContextManager[None]]
    dtype: torch.dtype
    at_once: int

    def __call__(self, pixels: UInt8[Tensor, "images 3 height width"]) -> Float[Tensor, "images tokens channels"]:
        """Return the states of up to `at_once` images, on the CPU."""
        num_images = len(pixels)
        filled = pixels.new_zeros((self.at_once, *pixels.shape[1:]))
        filled[:num_images] = pixels
        with torch.no_grad(), self.autocast():
            states = image_states(self.model, filled.to(self.device))
        return states[:num_images].to(self.dtype).cpu()


def feature_encoder(
    model: nn.Module,
    *,
    device: torch.device,
    precision: Precision,
    autocast: Callable[[], AbstractContextManager[None]],
    image_size: int,
) -> FeatureEncoder:
    """Return what computes states: of several images at once where that is faster and changes no bit.

    Raises:
        ValueError: If the image encoder trains, or drops out what it computes.
    """
    require_frozen(model)
    alone = FeatureEncoder(model=model, device=device, autocast=autocast, dtype=to_torch_dtype(precision), at_once=1)
    if device.type == "cpu":
        return alone
    together = replace(alone, at_once=_AT_ONCE)
    return together if is_independent(together, image_size) else alone


def keep_features(encoder: FeatureEncoder, images: Iterable[ReadyImage], store: ShardStore) -> int:
    """Compute the states of images with pixels and put them into the store; return of how many.

    Raises:
        ValueError: If they cannot be written.
    """
    num_kept = 0
    try:
        for group in _groups(images, store, encoder.at_once):
            pixels = [image.pixels_u8 for image in group if image.pixels_u8 is not None]
            for image, states in zip(group, encoder(torch.stack(pixels)), strict=True):
                # A copy of its own: the whole group's memory would wait with it otherwise.
                store.put(image.key, states.clone(), facts_of(image))
            num_kept += len(group)
        store.flush()
    except OSError as error:
        raise ValueError(f"data.feature_cache: nothing more can be written to {store.folder}: {error}") from error
    return num_kept


def _groups(images: Iterable[ReadyImage], store: ShardStore, size: int) -> Iterator[list[ReadyImage]]:
    """Yield images that are not there yet, none of them twice."""
    group: dict[str, ReadyImage] = {}
    for image in images:
        if image.key not in store:
            group[image.key] = image
        if len(group) == size:
            yield list(group.values())
            group = {}
    if group:
        yield list(group.values())


def require_frozen(model: nn.Module) -> None:
    """Refuse an image encoder whose states another step, or another draw, would change.

    Raises:
        ValueError: Saying what to set.
    """
    tower = vision_tower(model)
    trained = [name for name, parameter in tower.named_parameters() if parameter.requires_grad]
    if trained:
        raise ValueError(
            f"data.feature_cache keeps what a frozen image encoder says, and {len(trained)} tensors of this one train "
            f"({trained[0]} among them); set data.feature_cache=null, or train other parts (peft, freeze.image_encoder)"
        )
    dropping = [name for name, module in tower.named_modules() if isinstance(module, nn.Dropout) and module.p > 0]
    if dropping:
        raise ValueError(
            f"data.feature_cache keeps what the image encoder says once, and {dropping[0]} of this one drops out "
            "something else each time; set data.feature_cache=null"
        )


def is_independent(encoder: FeatureEncoder, image_size: int) -> bool:
    """Tell by a trial whether an image's states are the same, bit for bit, in any place and beside any others."""
    generator = torch.Generator().manual_seed(0)
    shape = (encoder.at_once, 3, image_size, image_size)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    states = encoder(pixels)
    moved = encoder(pixels.roll(1, dims=0)).roll(-1, dims=0)
    beside_black = encoder(pixels[:1])
    return torch.equal(states, moved) and torch.equal(states[:1], beside_black)


def feature_store(
    parent: Path, model: nn.Module, *, shape: tuple[int, int], settings: dict[str, object], precision: Precision
) -> ShardStore:
    """Return the states that this encoder has given so far, in the user's folder.

    Args:
        shape: Tokens and channels of one image.
        settings: What decides an image's pixels.
    """
    about = {**settings, "encoder": encoder_digest(model), "precision": precision.name}
    return ShardStore(parent, "features", shape=shape, dtype=to_torch_dtype(precision), about=about)


def encoder_digest(model: nn.Module) -> str:
    """Return a sha256 of everything that decides what the image encoder computes: weights, formats and shape."""
    tower = vision_tower(model)
    config: Any = model.config.vision_config  # type: ignore[union-attr]
    digest = hashlib.sha256(
        f"{config.num_attention_heads} {config.layer_norm_eps} {config.hidden_act} {config.patch_size}".encode()
    )
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
