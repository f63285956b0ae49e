"""From an image's reference to what the model reads: decoded and resized, or taken from a cache that knows it.

    data.pixel_cache     resized pixels: what was decoded once is read in every later epoch; bit for bit the same
    data.feature_cache   what a frozen image encoder says of them, made before training (`finetune.model.features`)

Both go by the content of the image, never by its name, and hold images that were decoded without a fault: what a rule
refuses is refused again each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from finetune.data.images import content_key, decode_image, held, resize
from finetune.data.outline import paint_outline
from finetune.data.shards import DamagedShardError, ShardStore
from finetune.data.transforms import orient_box
from finetune.settings import BoxSpace, DataSettings
from finetune.types import ImageReference, OutlinedImage

_MADE_AGAIN = "images made again, because data.pixel_cache was damaged"
_NOT_KEPT = "shards that data.pixel_cache had no room for"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyImage:
    """An image as the model takes it, with what its sample must know of it.

    Args:
        key: The same for images of the same content.
        size: (height, width) as people see it, before it was resized.
        orientation: As `DecodedImage` has it, and `notes` as well.
        pixels_u8: Resized; None where the image encoder's states take their place.
        states: What the frozen image encoder says of it, before the connector.
    """

    key: str
    size: tuple[int, int]
    orientation: int
    notes: tuple[str, ...]
    pixels_u8: UInt8[Tensor, "3 side side"] | None
    states: Float[Tensor, "tokens channels"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReader:
    """What makes images ready in one run.

    Args:
        image_size: Side of the square, in pixels.
        antialias: Whether shrinking smooths.
        pixels: Where resized pixels are kept; None: nowhere. Those that are smoothed otherwise than data.antialias says
            have keys of their own.
        features: Where the states of every image of the run lie; None: the model computes them.
    """

    image_size: int
    data: DataSettings
    antialias: bool
    pixels: ShardStore | None = None
    features: ShardStore | None = None

    def read(self, reference: ImageReference) -> ReadyImage:
        """Make one image ready.

        Raises:
            BadSampleError: If a rule of `decode_image` refuses it.
            ValueError: If data.feature_cache lacks it.
        """
        content = held(reference)
        key = self._key_of(content)
        if self.features is not None:
            return self._with_states(content, key, self.features)
        if self.pixels is not None:
            return self._through_cache(content, key, self.pixels)
        return self._make(content, key)

    def read_missing(self, reference: ImageReference, store: ShardStore) -> ReadyImage | None:
        """Make one image ready, unless `store` has something by its key already. Raises as `read`."""
        content = held(reference)
        key = self._key_of(content)
        if key in store:
            return None
        return self._make(content, key) if self.pixels is None else self._through_cache(content, key, self.pixels)

    def _key_of(self, content: ImageReference) -> str:
        key = content_key(content)
        return key if self.antialias is self.data.antialias else f"{key} antialias={self.antialias}"

    def _make(self, content: ImageReference, key: str) -> ReadyImage:
        decoded = decode_image(content, max_pixels=self.data.max_pixels, background=self.data.background)
        resized = resize(decoded.pixels, image_size=self.image_size, method=self.data.resize, antialias=self.antialias)
        if isinstance(content, OutlinedImage):
            box = content.box
            if self.data.boxes_drawn_on is BoxSpace.stored:
                box = orient_box(box, decoded.orientation)
            resized = paint_outline(resized, box, content.color)
        height, width, _ = decoded.pixels.shape
        return ReadyImage(
            key=key, size=(height, width), orientation=decoded.orientation, notes=decoded.notes, pixels_u8=resized
        )

    def _through_cache(self, content: ImageReference, key: str, store: ShardStore) -> ReadyImage:
        notes: tuple[str, ...] = ()
        try:
            kept = store.get(key)
        except DamagedShardError:
            kept, notes = None, (_MADE_AGAIN,)
        if kept is not None:
            return replace(_described(key, kept.facts), pixels_u8=kept.value)
        made = self._make(content, key)
        assert made.pixels_u8 is not None, "it was just made"
        try:
            store.put(key, made.pixels_u8, facts_of(made))
        except OSError:
            # The disk is full or gone. The pixels are here; only the next epoch is slower.
            notes = (*notes, _NOT_KEPT)
        return replace(made, notes=(*made.notes, *notes))

    def _with_states(self, content: ImageReference, key: str, store: ShardStore) -> ReadyImage:
        try:
            kept = store.get(key)
        except DamagedShardError as damage:
            raise ValueError(f"data.feature_cache: {damage}; start again, and its images are computed again") from None
        if kept is not None:
            return replace(_described(key, kept.facts), states=kept.value)
        # What cannot be used was left out of the cache, and is refused here for the same reason.
        self._make(content, key)
        raise ValueError(
            f"data.feature_cache: {store.folder} lacks {content.name}, which has changed since the command began, or "
            "the cache has; start again"
        )


def pixel_store(parent: Path, image_size: int, data: DataSettings) -> ShardStore:
    """Return the pixels that these settings have given so far, in the user's folder."""
    about = pixel_settings(image_size, data)
    return ShardStore(parent, "pixels", shape=(3, image_size, image_size), dtype=torch.uint8, about=about)


def pixel_settings(image_size: int, data: DataSettings) -> dict[str, object]:
    """Return everything that decides what an image's pixels are, besides its bytes."""
    return {
        "image_size": image_size,
        "resize": data.resize.name,
        "antialias": data.antialias,
        "background": data.background,
        # What is kept was once allowed to be decoded.
        "max_pixels": data.max_pixels,
        "pillow": PIL.__version__,
        "torch": torch.__version__.partition("+")[0],
    }


def facts_of(image: ReadyImage) -> dict[str, Any]:
    """Return what is kept beside an image's value, for JSON."""
    return {"size": list(image.size), "orientation": image.orientation, "notes": list(image.notes)}


def _described(key: str, facts: Mapping[str, Any]) -> ReadyImage:
    height, width = facts["size"]
    return ReadyImage(
        key=key, size=(height, width), orientation=facts["orientation"], notes=tuple(facts["notes"]), pixels_u8=None
    )
