"""What people would say about a scene: captions, questions with their answer, and the words to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from datasets_adapters.scene_drawing import Shape, Word
from datasets_adapters.scene_layout import LARGE_RADIUS, Scene

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_BACKGROUNDS = {
    "flat": "plain",
    "gradient": "shaded",
    "noise": "noisy",
    "stripes": "striped",
    "checks": "chequered",
    "night": "starry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about a scene and its one right answer."""

    question: str
    answer: str


def plural(name: str) -> str:
    """Return the plural of a shape's name."""
    return f"{name}es" if name.endswith("s") else f"{name}s"


def transcript(scene: Scene) -> str:
    """Return the words of a scene in reading order, separated by spaces."""
    return " ".join(word.text for word in scene.words)


def captions(scene: Scene, image_size: int) -> tuple[str, ...]:
    """Describe a scene in several ways, the plainest first; shapes are told from left to right."""
    shapes = sorted(scene.shapes, key=lambda shape: (shape.centre_x, shape.centre_y))
    plain = _join([_with_article(f"{shape.colour} {shape.name}") for shape in shapes]) or "an empty image"
    sized = _join([_with_article(f"{_size(shape, image_size)} {shape.colour} {shape.name}") for shape in shapes])
    background = f"on a {_BACKGROUNDS[scene.background.kind]} background"
    number = len(shapes)
    counted = f"{_number(number)} {'shape' if number == 1 else 'shapes'}"
    words = _join([f'"{word.text}"' for word in scene.words])
    told = [plain, f"{sized or 'nothing'} {background}", f"{counted}: {plain}" if number else f"{counted} {background}"]
    if words:
        told.append(f"{plain} with the {'word' if len(scene.words) == 1 else 'words'} {words}")
    return tuple(told)


def ask(
    scene: Scene, kinds: Sequence[str], *, shapes: Sequence[str], colours: Sequence[str], rng: np.random.Generator
) -> Question:
    """Draw one question. A kind that the scene has no single answer to gives way to the next, and at last to a count.

    Args:
        kinds: Which of `QUESTION_KINDS` may be asked.
        shapes, colours: The names to ask about, seen or not.
    """
    for kind in rng.permutation(np.array(kinds)).tolist():
        question = QUESTION_KINDS[kind](scene, shapes, colours, rng)
        if question is not None:
            return question
    number = len(scene.shapes)
    return Question(question="how many shapes are there?", answer=str(number))


def _ask_count(
    scene: Scene, shapes: Sequence[str], _colours: Sequence[str], rng: np.random.Generator
) -> Question | None:
    """Ask about a shape that is there half of the time: "0" would be the answer to most questions otherwise."""
    seen = sorted({shape.name for shape in scene.shapes})
    name = _pick(seen if seen and rng.random() < 0.5 else shapes, rng)
    number = sum(shape.name == name for shape in scene.shapes)
    return Question(question=f"how many {plural(name)} are there?", answer=str(number))


def _ask_colour(
    scene: Scene, _shapes: Sequence[str], _colours: Sequence[str], rng: np.random.Generator
) -> Question | None:
    names = [shape.name for shape in scene.shapes]
    alone = [shape for shape in scene.shapes if names.count(shape.name) == 1]
    if not alone:
        return None
    shape = alone[int(rng.integers(len(alone)))]
    return Question(question=f"what colour is the {shape.name}?", answer=shape.colour)


def _ask_existence(
    scene: Scene, shapes: Sequence[str], colours: Sequence[str], rng: np.random.Generator
) -> Question | None:
    """Ask about something seen or something missing, each half of the time, so that "yes" alone is no skill."""
    seen = sorted({(shape.colour, shape.name) for shape in scene.shapes})
    missing = [(colour, name) for colour in colours for name in shapes if (colour, name) not in seen]
    if not seen or not missing:
        return None
    is_seen = rng.random() < 0.5
    pairs = seen if is_seen else missing
    colour, name = pairs[int(rng.integers(len(pairs)))]
    return Question(question=f"is there {_with_article(f'{colour} {name}')}?", answer="yes" if is_seen else "no")


def _ask_word(
    scene: Scene, _shapes: Sequence[str], _colours: Sequence[str], _rng: np.random.Generator
) -> Question | None:
    if len(scene.words) != 1:
        return None
    word: Word = scene.words[0]
    return Question(question="what word is written?", answer=word.text)


QUESTION_KINDS: dict[str, Callable[[Scene, Sequence[str], Sequence[str], np.random.Generator], Question | None]] = {
    "count": _ask_count,
    "colour": _ask_colour,
    "existence": _ask_existence,
    "word": _ask_word,
}


def _size(shape: Shape, image_size: int) -> str:
    return "large" if shape.radius >= LARGE_RADIUS[0] * image_size else "small"


def _number(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _join(parts: Sequence[str]) -> str:
    """Write a list as English does: "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _pick(names: Sequence[str], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]
