"""One sample read as training would read it, boiled down to what statistics and the page need."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from finetune.data.encode import Encoded, SampleEncoder
from finetune.data.order import rng_for
from finetune.data.pictures import picture_of
from finetune.data.skips import Skip
from finetune.geometry import intersection_over_union
from finetune.inspection.reconstruction import MaskPair, ShownPair, pair_masks
from finetune.reporting.drawing import jpeg_bytes
from finetune.settings import OnOverlong
from finetune.tokens.codec_record import UsesCodec
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import (
    BadSampleError,
    ImageBytes,
    ImageFile,
    ImageReference,
    Instance,
    OutlinedImage,
    Recipe,
    Sample,
    Source,
)

_LONGEST_SIDE = 420
_SAME_BOX = 0.5
# Longer than any text, so that a text over the limit is measured before it is refused.
_NO_LIMIT = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRun:
    """Equal neighbours in a row of ids, as a person reads them: `<image>` 256 times, `▁cat` once."""

    piece: str
    count: int
    is_suffix: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """A sample as the page shows it.

    Args:
        thumbnails_jpeg: What the model sees of each image, stretched back to that image's own proportions.
        spoken: Objects read back out of the suffix: what the model is taught.
        left_out: Annotated objects that the suffix does not say.
    """

    sample_id: str
    origin: str
    thumbnails_jpeg: tuple[bytes, ...]
    prefix: str
    suffix: str
    tokens: tuple[TokenRun, ...]
    num_text_tokens: int
    spoken: tuple[Instance, ...]
    left_out: tuple[Instance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one sample turned out to be; with `skip` set, nothing is known but its name and, if too long, its length.

    Args:
        num_text_tokens: Prefix, newline, suffix and EOS, before anything is cut.
        image_digest: Equal for equal encoded images.
        example_digest: Equal for equal images, prefix and suffix.
        objects: Annotated objects, or else those that the suffix says.
        overlaps: Label and IoU of every mask that the suffix says with the annotated one.
    """

    sample_id: str
    origin: str
    skip: Skip | None = None
    num_text_tokens: int = 0
    is_too_long: bool = False
    image_size: tuple[int, int] = (0, 0)
    image_digest: bytes = b""
    example_digest: bytes = b""
    suffix: str = ""
    objects: tuple[Instance, ...] | None = None
    overlaps: tuple[tuple[str, float], ...] = ()
    label_set: tuple[str, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    shown: ShownSample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Readings by row number. Picklable: loader processes get their own copy.

    Args:
        shown: Rows whose reading includes what the page needs.
    """

    source: Source
    recipe: Recipe
    encoder: SampleEncoder
    seed: int
    shown: frozenset[int] = frozenset()

    def __getitem__(self, key: int) -> Reading:
        """Read row `key`; a sample that cannot be used is a reading as well."""
        try:
            sample = self.source[key]
        except BadSampleError as error:
            return Reading(sample_id=error.sample_id, origin=error.origin, skip=Skip.from_error(error, key))
        try:
            return self._read(sample, is_shown=key in self.shown)
        except BadSampleError as error:
            return self._unusable(error, key, sample)

    def show_whole(self, key: int) -> ShownSample | None:
        """Read row `key`, which may be too long for training, to be shown uncut; None where it cannot be read."""
        try:
            encoded = self._encode(self.source[key], _without_limit(self.encoder))
        except BadSampleError:
            return None
        return self._show(encoded, _num_text_tokens(encoded))

    def show_pair(self, key: int, number: int) -> ShownPair:
        """Read row `key`, which can be used, and show one of its masks beside what the suffix says of it."""
        encoded = self._encode(self.source[key], self.encoder)
        return ShownPair(
            sample_id=encoded.sample.sample_id,
            thumbnail_jpeg=_thumbnail(encoded, 0),
            pair=self._pairs(encoded)[number],
        )

    def _pairs(self, encoded: Encoded) -> tuple[MaskPair, ...]:
        return pair_masks(encoded.sample.instances or (), self._spoken(encoded))

    def _unusable(self, error: BadSampleError, key: int, sample: Sample) -> Reading:
        """Return what is known of a sample that was refused: its length, if that was the reason."""
        skipped = Reading(sample_id=sample.sample_id, origin=sample.origin, skip=Skip.from_error(error, key))
        if error.code != "too-long":
            return skipped
        encoded = self._encode(sample, _without_limit(self.encoder))
        return replace(skipped, num_text_tokens=_num_text_tokens(encoded), is_too_long=True)

    def _read(self, sample: Sample, *, is_shown: bool) -> Reading:
        encoded = self._encode(sample, self.encoder)
        num_text_tokens = _num_text_tokens(encoded)
        if num_text_tokens == self.encoder.data.max_text_tokens:
            # It may have been cut.
            num_text_tokens = _num_text_tokens(self._encode(sample, _without_limit(self.encoder)))
        example, images = encoded.example, _digest_images(sample.images)
        objects = encoded.sample.instances
        if objects is None:
            objects = self._spoken(encoded) or None
        return Reading(
            sample_id=sample.sample_id,
            origin=sample.origin,
            num_text_tokens=num_text_tokens,
            is_too_long=num_text_tokens > self.encoder.data.max_text_tokens,
            image_size=encoded.sample.image_size or (0, 0),
            image_digest=images,
            example_digest=_digest(images, _bytes(example.prefix), b"\0", _bytes(example.suffix)),
            suffix=example.suffix,
            objects=None if objects is None else tuple(replace(instance, mask=None) for instance in objects),
            overlaps=tuple((pair.annotated.label, pair.overlap) for pair in self._pairs(encoded)),
            label_set=sample.label_set,
            notes=example.notes,
            shown=self._show(encoded, num_text_tokens) if is_shown else None,
        )

    def _encode(self, sample: Sample, encoder: SampleEncoder) -> Encoded:
        return encoder.encode(sample, self.recipe, rng_for(self.seed, 0, sample.sample_id))

    def _spoken(self, encoded: Encoded) -> tuple[Instance, ...]:
        """Return what the suffix says, asked for as the prefix does."""
        asked = replace(encoded.sample, prefix=encoded.example.prefix)
        return self.recipe.decode(encoded.example.suffix, asked).objects

    def _show(self, encoded: Encoded, num_text_tokens: int) -> ShownSample:
        spoken = self._spoken(encoded)
        annotated = encoded.sample.instances or ()
        if not isinstance(self.recipe, UsesCodec):
            annotated = tuple(replace(instance, mask=None) for instance in annotated)
        return ShownSample(
            sample_id=encoded.sample.sample_id,
            origin=encoded.sample.origin,
            thumbnails_jpeg=tuple(_thumbnail(encoded, number) for number in range(len(encoded.example.images))),
            prefix=encoded.example.prefix,
            suffix=encoded.example.suffix,
            tokens=_token_runs(encoded, self.encoder.tokenizer),
            num_text_tokens=num_text_tokens,
            spoken=spoken,
            left_out=tuple(instance for instance in annotated if not _is_said(instance, spoken)),
        )


def _without_limit(encoder: SampleEncoder) -> SampleEncoder:
    data = replace(encoder.data, max_text_tokens=_NO_LIMIT, on_overlong=OnOverlong.refuse, row_tokens=None)
    return replace(encoder, data=data)


def _num_text_tokens(encoded: Encoded) -> int:
    """Count as `data.max_text_tokens` does: BOS is not text."""
    return len(encoded.tokenized.input_ids) - encoded.tokenized.num_image_tokens - 1


def _digest_images(images: tuple[ImageReference, ...]) -> bytes:
    return _digest(*(_encoded_bytes(image) for image in images))


def _encoded_bytes(image: ImageReference) -> bytes:
    if isinstance(image, OutlinedImage):
        return _encoded_bytes(image.image) + f"{image.box} {image.color}".encode()
    if isinstance(image, ImageFile):
        return image.path.read_bytes()
    if isinstance(image, ImageBytes):
        return image.data
    return image.pixels.tobytes()


def _digest(*parts: bytes) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _is_said(instance: Instance, spoken: tuple[Instance, ...]) -> bool:
    return any(
        instance.answers_to(said.label) and intersection_over_union(said.box, instance.box) > _SAME_BOX
        for said in spoken
    )


def _thumbnail(encoded: Encoded, number: int) -> bytes:
    """Return what the model sees of image `number`, in the proportions of the image itself."""
    height, width, _ = picture_of(encoded.example.images[number]).shape
    scale = _LONGEST_SIDE / max(height, width)
    seen = Image.fromarray(encoded.pixels_u8[number].permute(1, 2, 0).numpy())
    return jpeg_bytes(np.asarray(seen.resize((max(1, round(width * scale)), max(1, round(height * scale))))))


def _token_runs(encoded: Encoded, tokenizer: Tokenizer) -> tuple[TokenRun, ...]:
    runs: list[TokenRun] = []
    for token_id, is_suffix in zip(
        encoded.tokenized.input_ids.tolist(), encoded.tokenized.is_suffix.tolist(), strict=True
    ):
        if token_id == tokenizer.image_token_id and runs:
            runs[-1] = replace(runs[-1], count=runs[-1].count + 1)
        else:
            runs.append(TokenRun(piece=tokenizer.piece(token_id), count=1, is_suffix=is_suffix))
    return tuple(runs)
