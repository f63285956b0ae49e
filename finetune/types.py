"""The values that travel through the project, and the interfaces between its rooms.

One sample on its way to the loss: Sample (a source's row) -> Example (what the recipe says) -> TokenizedExample
(ids and segments) -> Batch (`finetune.data.packing`). And back: generated text -> Prediction -> a metric's numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from finetune.geometry import Box
from finetune.masks import Mask


class BadSampleError(ValueError):
    """One sample cannot be used: where it is, which field, what is wrong, and what to do.

    `data.on_bad_sample` decides whether this stops the run or is counted as a skip.

    Args:
        origin: Where the sample comes from, as a person would look it up: "train.jsonl:17".
        sample_id: The sample's identifier, or "" where it could not be read.
        field_name: The offending field, such as "image" or "boxes[3]".
        code: A stable, machine-readable reason, such as "truncated-image".
        message: What is wrong and what to do about it, one sentence.
    """

    def __init__(self, *, origin: str, sample_id: str, field_name: str, code: str, message: str) -> None:
        super().__init__(f"{origin}: {field_name}: {message} [{code}]")
        self.origin = origin
        self.sample_id = sample_id
        self.field_name = field_name
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (loader workers), and keyword-only arguments do not survive the default pickling.
        return _rebuild_bad_sample, (self.origin, self.sample_id, self.field_name, self.code, self.message)


def _rebuild_bad_sample(origin: str, sample_id: str, field_name: str, code: str, message: str) -> BadSampleError:
    return BadSampleError(origin=origin, sample_id=sample_id, field_name=field_name, code=code, message=message)


# What an encoded image may be, by its content; Pillow alone would open dozens of formats more.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An encoded image on disk. `name` is what messages call it."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBytes:
    """An encoded image in memory (a parquet cell, a tar member)."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePixels:
    """An image that was never encoded (a rendered scene): RGB, row by row."""

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]


PlainImage = ImageFile | ImageBytes | ImagePixels


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedImage:
    """An image that a box is painted on after it was resized: one pixel wide, in a colour (red, green, blue: 0..255).

    `box` refers to the image as it is annotated.
    """

    image: PlainImage
    box: Box
    color: tuple[int, int, int] = (255, 0, 0)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.image.name


ImageReference = PlainImage | OutlinedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One labelled object in an image. A crowd is a region that holds many, as COCO marks them.

    `expressions` say in words which of an image's objects it is ("the left dog"), where somebody wrote that down.
    """

    label: str
    box: Box
    mask: Mask | None = None
    is_crowd: bool = False
    expressions: tuple[str, ...] = ()

    def answers_to(self, name: str) -> bool:
        """Whether somebody who says `name` may mean this object."""
        return name == self.label or name in self.expressions


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row of a source: images that nobody has decoded yet, and everything that is known about them.

    Args:
        sample_id: Unique in its source, stable across runs: every random choice is seeded by it.
        origin: Where to look it up, such as "train.jsonl:17". For messages only.
        images: What the model sees, in order.
        image_size: (height, width) of the first image that boxes and masks were annotated on; None where unknown
            until the image is decoded.
        instances: None if objects were not annotated; () if they were and there are none.
        label_set: Every label that the source knows, in its order: what `detect a ; b` asks for.
        captions, question, answers, text: Annotations for captioning, question answering and OCR.
        prefix, suffix: Ready-made token text (the PaliGemma JSONL format); they override the recipe's own.
        frame_stride: Of images that are the frames of a video, one of so many is shown.
        choices: The options of a multiple-choice question, in their order; `answers` then holds the right one's text.
        context: What a question refers to besides the image, such as a hint.
        language: Code of the text's language, where rows of several are mixed; None: the recipe's.
        category: What scores are told apart by: a kind of question or answer, a test set, a language.
        visit: How often it was trained on before: choices without replacement go by it.
        public_id: How the data set's authors call the row, which a file for their server must say; None: `sample_id`.
        notes: What the source left out or repaired on purpose, such as {"boxes clipped to the image": 1}.
    """

    sample_id: str
    origin: str
    images: tuple[ImageReference, ...]
    image_size: tuple[int, int] | None = None
    instances: tuple[Instance, ...] | None = None
    label_set: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    question: str | None = None
    answers: tuple[str, ...] = ()
    text: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    frame_stride: int = 1
    choices: tuple[str, ...] = ()
    context: str | None = None
    language: str | None = None
    category: str | None = None
    public_id: str | int | None = None
    visit: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the model is shown and what it must say, as text.

    `notes` counts what was left out or changed on purpose, such as {"boxes over the limit": 3}; the sums are reported.
    """

    sample_id: str
    images: tuple[ImageReference, ...]
    prefix: str
    suffix: str
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedExample:
    """An example as ids: image placeholders, BOS, prefix, newline, suffix, EOS.

    `is_suffix` is true on the suffix and EOS alone: there the loss falls, and there attention is causal.
    A prefix for generation has no suffix and no EOS.
    """

    sample_id: str
    input_ids: Int64[np.ndarray, " tokens"]
    is_suffix: Bool[np.ndarray, " tokens"]
    num_image_tokens: int

    @property
    def num_targets(self) -> int:
        """How many tokens the loss falls on."""
        return int(self.is_suffix.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Generated text and what the recipe read out of it.

    Args:
        objects: The labelled boxes (and masks) found in the text, in order of appearance.
        num_malformed: How many parts of the text looked like an object and were not one.
    """

    sample_id: str
    text: str
    objects: tuple[Instance, ...] = ()
    num_malformed: int = 0


@runtime_checkable
class Source(Protocol):
    """Where rows come from: random access to the samples of one split.

    `block_size` is None for true random access. A streaming source sets it: the training order then shuffles
    within blocks of so many consecutive rows, and blocks are visited in order (`finetune.data.order`).
    """

    @property
    def block_size(self) -> int | None: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Return row `index`, 0 <= index < len(self).

        Raises:
            BadSampleError: If the row cannot be used.
        """
        ...


@runtime_checkable
class Dataset(Protocol):
    """What `conf/dataset/*.yaml` names: a frozen dataclass that opens the splits of one data set.

    `train_split` and `eval_split` are the splits that `finetune train` uses.
    """

    @property
    def train_split(self) -> str: ...

    @property
    def eval_split(self) -> str: ...

    def open(self, split: str) -> Source:
        """Open one split; cheap enough to be done before any weight is read.

        Raises:
            ValueError: If the split or a file is missing, naming the setting and the path.
        """
        ...


@runtime_checkable
class Metric(Protocol):
    """A score over a set of predictions. Fed each sample exactly once, in any order."""

    def names(self) -> tuple[str, ...]:
        """Return every name that `compute` may use, so that a misspelt one is refused before a run, not after it."""
        ...

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction; return its own score where one is defined for a single sample."""
        ...

    def compute(self) -> dict[str, float]:
        """Return the values over everything seen, by name; `evaluate.metrics.direction` knows which way is better."""
        ...


@runtime_checkable
class Recipe(Protocol):
    """What a task means: sample -> text, text -> prediction, which scores. A frozen dataclass.

    `rng` makes the random choices (which caption, which box order); it is seeded by (seed, epoch, sample_id).
    """

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the sample as prefix and suffix.

        Raises:
            BadSampleError: If the sample lacks what the task needs or breaks the format's rules.
        """
        ...

    def ask(self, sample: Sample) -> Example:
        """Say the prefix alone, with an empty suffix: what `predict` and `evaluate` show the model."""
        ...

    def selection(self) -> Callable[[Sample], bool] | None:
        """Return the test for samples that take part (an image without boxes may not); None where all do.

        With a test, every row is read once before training, without decoding its image.
        """
        ...

    def reference(self, sample: Sample) -> str:
        """The truth as a person would read it, for reports; "" where the sample carries none."""
        ...

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read generated text. Never raises on the model's output: what is malformed is counted."""
        ...

    def metrics(self) -> Mapping[str, Metric]:
        """Return fresh metrics, by name."""
        ...
