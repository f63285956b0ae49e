import numpy as np
import pytest

from datasets_adapters.scene_drawing import Background, Shape, Word
from datasets_adapters.scene_layout import Scene
from datasets_adapters.scene_text import QUESTION_KINDS, ask, captions, plural, transcript

NAMES = {"shapes": ["circle", "square"], "colours": ["red", "blue"]}


def _shape(name: str, colour: str, x: float, radius: float = 12) -> Shape:
    return Shape(name=name, colour=colour, centre_x=x, centre_y=50, radius=radius, angle=0)


def _scene(*shapes: Shape, words: tuple[str, ...] = ()) -> Scene:
    background = Background(kind="stripes", first=(0, 0, 0), second=(1, 1, 1), angle=0.0, period=3.0, noise_seed=0)
    placed = tuple(Word(text=text, left=0, top=20 * index, font_size=12) for index, text in enumerate(words))
    return Scene(background=background, shapes=shapes, words=placed)


def test_captions_name_shapes_from_left_to_right() -> None:
    scene = _scene(_shape("square", "blue", 80, 25), _shape("circle", "orange", 20), words=("moon", "tree"))
    assert captions(scene, 112) == (
        "an orange circle and a blue square",
        "a small orange circle and a large blue square on a striped background",
        "two shapes: an orange circle and a blue square",
        'an orange circle and a blue square with the words "moon" and "tree"',
    )


def test_three_things_are_listed_with_a_comma() -> None:
    scene = _scene(*(_shape("circle", "red", x) for x in (10, 20, 30)))
    assert captions(scene, 112)[0] == "a red circle, a red circle and a red circle"


def test_an_empty_scene_has_captions() -> None:
    assert captions(_scene(), 112) == (
        "an empty image",
        "nothing on a striped background",
        "no shapes on a striped background",
    )


def test_words_are_read_from_top_to_bottom() -> None:
    assert transcript(_scene(words=("moon", "tree"))) == "moon tree"
    assert transcript(_scene()) == ""


@pytest.mark.parametrize(("name", "expected"), [("circle", "circles"), ("cross", "crosses")])
def test_plurals(name: str, expected: str) -> None:
    assert plural(name) == expected


@pytest.mark.parametrize(
    ("kind", "scene", "expected"),
    [
        ("colour", _scene(_shape("circle", "red", 10)), {"what colour is the circle?": "red"}),
        ("word", _scene(words=("moon",)), {"what word is written?": "moon"}),
        (
            "existence",
            _scene(_shape("circle", "red", 10)),
            {
                "is there a red circle?": "yes",
                "is there a blue circle?": "no",
                "is there a red square?": "no",
                "is there a blue square?": "no",
            },
        ),
        (
            "count",
            _scene(_shape("circle", "red", 10), _shape("circle", "blue", 50)),
            {"how many circles are there?": "2", "how many squares are there?": "0"},
        ),
    ],
)
def test_questions_have_one_right_answer(kind: str, scene: Scene, expected: dict[str, str]) -> None:
    asked = [ask(scene, [kind], **NAMES, rng=np.random.default_rng(seed)) for seed in range(60)]
    assert {question.question: question.answer for question in asked} == expected


def test_a_kind_without_an_answer_gives_way() -> None:
    two_circles = _scene(_shape("circle", "red", 10), _shape("circle", "blue", 50))
    question = ask(two_circles, ["colour", "word"], **NAMES, rng=np.random.default_rng(0))
    assert (question.question, question.answer) == ("how many shapes are there?", "2")
    assert {
        ask(two_circles, list(QUESTION_KINDS), **NAMES, rng=np.random.default_rng(seed)).question.split(" ")[0]
        for seed in range(40)
    } == {"how", "is"}
