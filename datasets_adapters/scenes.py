"""Scenes rendered at run time from a seed: coloured shapes and words, with every kind of annotation for each.

The same scene carries captions, a question with its answer, the words to read, and labelled boxes and masks of what can
be seen, so that every recipe can be tried, tested and shown without any file. Scene `index` of a split is a pure
function of the settings, and the two splits can not share one: a scene's own content decides which side it is on.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from jaxtyping import Bool

from datasets_adapters.scene_drawing import BACKGROUNDS, COLOURS, SHAPES, Shape, draw
from datasets_adapters.scene_layout import Ingredients, arrange
from datasets_adapters.scene_text import QUESTION_KINDS, ask, captions, transcript
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.settings import at_least, between
from finetune.types import ImagePixels, Instance, Sample


class LabelStyle(Enum):
    """What an object is called: "circle", or "red circle"."""

    shape = "shape"
    colour_shape = "colour_shape"


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Rendered scenes, in a training and a held-out split.

    Args:
        image_size: Side of the square images, in pixels.
        train_split, eval_split: What the two splits are called.
        min_objects, max_objects: How many shapes a scene has.
        label_style: What boxes are labelled with.
        shapes, colours, backgrounds, questions: Which of the known ones are used.
        words: What can be written in a scene; empty needs max_words=0.
        min_words, max_words: How many words a scene has.
        min_visible: Smallest share of a shape that shapes above it and words may leave to be seen.
    """

    seed: int = 0
    image_size: int = 112
    num_train: int = 4000
    num_eval: int = 200
    train_split: str = "train"
    eval_split: str = "eval"
    min_objects: int = 1
    max_objects: int = 3
    min_words: int = 1
    max_words: int = 1
    min_visible: float = 0.5
    label_style: LabelStyle = LabelStyle.shape
    shapes: list[str] = field(default_factory=lambda: ["circle", "square", "triangle"])
    colours: list[str] = field(default_factory=lambda: ["red", "green", "blue", "yellow"])
    words: list[str] = field(
        default_factory=lambda: ["apple", "bird", "cloud", "door", "fish", "lamp", "moon", "river", "tree", "wolf"]
    )
    backgrounds: list[str] = field(default_factory=lambda: ["flat", "gradient", "noise", "stripes"])
    questions: list[str] = field(default_factory=lambda: ["count", "colour", "existence", "word"])

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("image_size", self.image_size, 32)
        at_least("num_train", self.num_train, 1)
        at_least("num_eval", self.num_eval, 1)
        at_least("min_objects", self.min_objects, 0)
        at_least("max_objects", self.max_objects, max(1, self.min_objects))
        at_least("min_words", self.min_words, 0)
        at_least("max_words", self.max_words, self.min_words)
        between("min_visible", self.min_visible, 0.05, 1)
        _all_known("shapes", self.shapes, SHAPES)
        _all_known("colours", self.colours, COLOURS)
        _all_known("backgrounds", self.backgrounds, BACKGROUNDS)
        _all_known("questions", self.questions, QUESTION_KINDS)
        if self.max_words and not self.words:
            raise ValueError(f"max_words is {self.max_words}, but words is empty: list words or set 0")
        for word in self.words:
            if not word.isalnum() or not word.isascii():
                raise ValueError(f"words must be ASCII letters and digits, which the font has; got {word!r}")
        if self.train_split == self.eval_split:
            raise ValueError(f"train_split and eval_split must differ, both are {self.train_split!r}")

    def open(self, split: str) -> "SceneSource":
        """Open the training or the held-out scenes.

        Raises:
            ValueError: If `split` is neither.
        """
        if split not in (self.train_split, self.eval_split):
            raise ValueError(
                f"split {split!r} does not exist: dataset.train_split is {self.train_split!r}, "
                f"dataset.eval_split is {self.eval_split!r}"
            )
        return SceneSource(settings=self, split=split)

    def label(self, shape: Shape) -> str:
        """Return what a shape is called."""
        return shape.name if self.label_style is LabelStyle.shape else f"{shape.colour} {shape.name}"

    @property
    def label_set(self) -> tuple[str, ...]:
        """Every label, in the order of the settings."""
        if self.label_style is LabelStyle.shape:
            return tuple(self.shapes)
        return tuple(f"{colour} {shape}" for colour in self.colours for shape in self.shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """The scenes of one split."""

    settings: Scenes
    split: str

    @property
    def block_size(self) -> int | None:
        """None: any scene can be rendered at any time."""
        return None

    def __len__(self) -> int:
        return self.settings.num_train if self.split == self.settings.train_split else self.settings.num_eval

    def __getitem__(self, index: int) -> Sample:
        """Render scene `index` with its annotations."""
        if not 0 <= index < len(self):
            raise IndexError(f"split {self.split!r} has {len(self)} scenes, got index {index}")
        settings = self.settings
        is_held_out = self.split == settings.eval_split
        rng = np.random.default_rng([settings.seed, int(is_held_out), index])
        ingredients = _ingredients(settings)
        scene, owners = arrange(ingredients, rng)
        while scene.is_held_out() != is_held_out:
            scene, owners = arrange(ingredients, rng)
        question = ask(scene, settings.questions, shapes=settings.shapes, colours=settings.colours, rng=rng)
        side = settings.image_size
        pixels = draw(scene.background, scene.shapes, scene.words, image_size=side)
        name = f"{self.split}-{index:06d}"
        return Sample(
            sample_id=name,
            origin=f"scenes seed {settings.seed}, {name}",
            images=(ImagePixels(name=name, pixels=pixels),),
            image_size=(side, side),
            instances=_from_left(_instance(settings.label(shape), owners == i) for i, shape in enumerate(scene.shapes)),
            label_set=settings.label_set,
            captions=captions(scene, side),
            question=question.question,
            answers=(question.answer,),
            text=transcript(scene),
        )


def _ingredients(settings: Scenes) -> Ingredients:
    return Ingredients(
        image_size=settings.image_size,
        shapes=settings.shapes,
        colours=settings.colours,
        words=settings.words,
        backgrounds=settings.backgrounds,
        num_shapes=(settings.min_objects, settings.max_objects),
        num_words=(settings.min_words, settings.max_words),
        min_visible=settings.min_visible,
    )


def _from_left(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Order objects as people tell them, and as captions do; which one lies on top cannot be seen everywhere."""
    return tuple(sorted(instances, key=lambda instance: (instance.box.left, instance.box.top)))


def _instance(label: str, visible: Bool[np.ndarray, "h w"]) -> Instance:
    """Box and mask exactly what is seen of an object."""
    height, width = visible.shape
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    box = Box.from_xyxy_pixels(
        float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1), image_size=(height, width)
    )
    return Instance(label=label, box=box, mask=Mask.from_array(visible.astype(np.uint8)))


def _all_known(setting: str, names: Sequence[str], known: Collection[str]) -> None:
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(f"{setting} must be one or more of {', '.join(known)}, each once; got {list(names)}")
