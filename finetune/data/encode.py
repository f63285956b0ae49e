"""One sample, all the way from a source's row to ids and pixels."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from finetune.data.frames import random_start, shown_images
from finetune.data.ready_images import ImageReader, ReadyImage
from finetune.data.shards import ShardStore
from finetune.data.transforms import orient_sample
from finetune.settings import DataSettings, OnOverlong
from finetune.tokens.sequence import tokenize, tokenize_prefix, was_cut
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, Example, ImagePixels, ImageReference, Recipe, Sample, TokenizedExample


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A sample as the model sees it, with every step on the way there.

    Args:
        sample: With its image size filled in, and annotations on the image as people see it.
        example: What the recipe said; its notes also count what the source did, and what happened to images and text.
        pixels_u8: The example's images, resized, in order; none where `image_states` takes their place.
        image_keys: The content of each image: equal keys are equal pixels and states.
        image_states: What the frozen image encoder says of the images, from data.feature_cache; None without it.
    """

    sample: Sample
    example: Example
    tokenized: TokenizedExample
    pixels_u8: UInt8[Tensor, "images 3 size size"]
    image_keys: tuple[str, ...]
    image_states: Float[Tensor, "shown tokens channels"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEncoder:
    """Everything that turns samples into examples in one run. Picklable: loader processes get their own copy.

    Args:
        image_size: Side of the square that the model sees, in pixels.
        num_image_tokens: Placeholders of one image.
        pixel_cache, feature_cache: As `ImageReader` takes them.

    Raises:
        ValueError: If rows of data.row_tokens could not hold the longest example.
    """

    tokenizer: Tokenizer
    image_size: int
    num_image_tokens: int
    data: DataSettings
    pixel_cache: ShardStore | None = None
    feature_cache: ShardStore | None = None

    def __post_init__(self) -> None:
        self.data.check_rows(self.num_image_tokens)

    @property
    def image_reader(self) -> ImageReader:
        """What makes images ready for training."""
        return ImageReader(
            image_size=self.image_size,
            data=self.data,
            antialias=self.data.antialias,
            pixels=self.pixel_cache,
            features=self.feature_cache,
        )

    def encode(self, sample: Sample, recipe: Recipe, rng: np.random.Generator) -> Encoded:
        """Encode for training.

        Raises:
            BadSampleError: If an image, the annotations, the recipe or the text's length refuse the sample.
        """
        start = random_start(sample, self.data.num_images, rng) if self.data.random_start else 0
        encoded = self._encode(sample, lambda seen: recipe.encode(seen, rng), tokenize, self.image_reader, start=start)
        self._refuse_over_row(encoded)
        return encoded

    def ask(self, sample: Sample, recipe: Recipe) -> Encoded:
        """Encode for generation: the prefix alone.

        Raises:
            BadSampleError: As `encode`.
        """
        reader = replace(self.image_reader, antialias=self.data.antialias_of_asked)
        return self._encode(sample, recipe.ask, tokenize_prefix, reader)

    def stand_in(self, sample_id: str) -> Encoded:
        """Return a black image that says nothing: it keeps the shapes of a batch in a skipped sample's place."""
        side = self.image_size
        black = ImagePixels(name="stand-in", pixels=np.zeros((side, side, 3), dtype=np.uint8))
        example = Example(sample_id=sample_id, images=(black,), prefix="", suffix="")
        features = self.feature_cache
        return Encoded(
            sample=Sample(sample_id=sample_id, origin="stand-in", images=example.images, image_size=(side, side)),
            example=example,
            tokenized=self._to_ids(example, tokenize),
            pixels_u8=torch.zeros((1 if features is None else 0, 3, side, side), dtype=torch.uint8),
            image_keys=("stand-in",),
            image_states=None if features is None else torch.zeros((1, *features.shape), dtype=features.dtype),
        )

    def _read_images(self, sample: Sample, shown: Sequence[ImageReference], reader: ImageReader) -> list[ReadyImage]:
        """Make ready those of a sample's images that are shown."""
        with _naming(origin=sample.origin, sample_id=sample.sample_id):
            self._check_num_images(sample)
            return [_read(reader, reference, place) for place, reference in enumerate(shown)]

    def _encode(
        self,
        sample: Sample,
        say: Callable[[Sample], Example],
        to_ids: Callable[..., TokenizedExample],
        reader: ImageReader,
        *,
        start: int = 0,
    ) -> Encoded:
        # What is shown again need not be decoded again, what is left out not at all.
        references = shown_images(sample, self.data.num_images, start=start)
        images = self._read_images(sample, references, reader)
        with _naming(origin=sample.origin, sample_id=sample.sample_id):
            seen = orient_sample(
                replace(sample, images=self._shown(references), frame_stride=1),
                oriented_size=images[0].size,
                orientation=images[0].orientation,
                drawn_on=self.data.boxes_drawn_on,
            )
            example = say(seen)
            tokenized = self._to_ids(example, to_ids)
        notes = Counter(sample.notes) + self._count_images(len(shown_images(sample, None)))
        notes.update(note for image in images for note in image.notes)
        notes.update(example.notes)
        if self.data.on_overlong is OnOverlong.truncate and was_cut(example, tokenized, self.tokenizer):
            notes["examples cut at data.max_text_tokens"] += 1
            if example.suffix and not tokenized.num_targets:
                notes["examples whose prefix alone fills data.max_text_tokens, which teach nothing"] += 1
        shown = [images[_place(image, references)] for image in example.images]
        return Encoded(
            sample=seen,
            example=replace(example, notes=dict(notes)),
            tokenized=tokenized,
            pixels_u8=self._stack_pixels(shown),
            image_keys=tuple(image.key for image in shown),
            image_states=_stack_states(shown),
        )

    def _to_ids(self, example: Example, to_ids: Callable[..., TokenizedExample]) -> TokenizedExample:
        return to_ids(
            example,
            self.tokenizer,
            num_image_tokens=self.num_image_tokens,
            max_text_tokens=self.data.max_text_tokens,
            on_overlong=self.data.on_overlong,
        )

    def _check_num_images(self, sample: Sample) -> None:
        """Refuse a sample without an image, or with more than anybody said that there would be."""
        num_given, limit = len(shown_images(sample, None)), self.data.max_images
        if num_given == 0:
            raise _refusal(sample, "image", "no-image", "the sample has no image; PaliGemma needs at least one")
        if self.data.num_images is None and num_given > limit:
            message = (
                f"{num_given} images are over data.max_images={limit}; set data.num_images to show the first so many, "
                "or raise data.max_images"
            )
            raise _refusal(sample, "images", "too-many-images", message)

    def _shown(self, images: tuple[ImageReference, ...]) -> tuple[ImageReference, ...]:
        """Return as many images as data.num_images says, from the first one on and again from there.

        Source:
            big_vision pp/proj/paligemma/video.py, `video_replicate_img` (0127fb6).
        """
        num_images = self.data.num_images or len(images)
        return tuple(images[place % len(images)] for place in range(num_images))

    def _count_images(self, num_given: int) -> Counter[str]:
        """Count what data.num_images changed; a Counter without what it did not."""
        num_images = self.data.num_images or num_given
        left_out, repeated = max(0, num_given - num_images), max(0, num_images - num_given)
        return +Counter({"images over data.num_images": left_out, "images shown again for data.num_images": repeated})

    def _refuse_over_row(self, encoded: Encoded) -> None:
        """Refuse what rows of data.row_tokens cannot hold; with one image each, `check_rows` has ruled that out."""
        length, row_tokens = len(encoded.tokenized.input_ids), self.data.row_tokens
        if row_tokens is None or length <= row_tokens:
            return
        message = (
            f"{len(encoded.example.images)} images and the text are {length} tokens, over data.row_tokens="
            f"{row_tokens}; raise it, or set data.num_images"
        )
        raise _refusal(encoded.sample, "images", "too-many-images", message)

    def _stack_pixels(self, images: Sequence[ReadyImage]) -> UInt8[Tensor, "images 3 size size"]:
        pixels = [image.pixels_u8 for image in images if image.pixels_u8 is not None]
        side = self.image_size
        return torch.stack(pixels) if pixels else torch.zeros((0, 3, side, side), dtype=torch.uint8)


def _read(reader: ImageReader, reference: ImageReference, place: int) -> ReadyImage:
    with _naming(field_name=f"images[{place}]" if place else "image"):
        return reader.read(reference)


def _stack_states(images: Sequence[ReadyImage]) -> Float[Tensor, "images tokens channels"] | None:
    states = [image.states for image in images if image.states is not None]
    return torch.stack(states) if states else None


def _place(image: ImageReference, images: tuple[ImageReference, ...]) -> int:
    """Return where a recipe's image stands among the sample's. (Pixels make `==` of references ambiguous.)"""
    return next(place for place, candidate in enumerate(images) if candidate is image)


def _refusal(sample: Sample, field_name: str, code: str, message: str) -> BadSampleError:
    return BadSampleError(
        origin=sample.origin, sample_id=sample.sample_id, field_name=field_name, code=code, message=message
    )


@contextmanager
def _naming(**where: str) -> Iterator[None]:
    """Give every refusal on the way the origin, sample id or field name where a person finds the fault."""
    try:
        yield
    except BadSampleError as error:
        said = {name: getattr(error, name) for name in ("origin", "sample_id", "field_name", "code", "message")}
        raise BadSampleError(**(said | where)) from error
