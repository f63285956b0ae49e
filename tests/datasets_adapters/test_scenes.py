import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_adapters.scene_drawing import COLOURS, SHAPES
from datasets_adapters.scenes import LabelStyle, Scenes
from finetune.types import ImagePixels, Sample

CROWDED = Scenes(
    max_objects=6,
    max_words=3,
    num_train=200,
    shapes=list(SHAPES),
    colours=list(COLOURS),
    label_style=LabelStyle.colour_shape,
)


def _pixels(sample: Sample) -> np.ndarray:
    (image,) = sample.images
    assert isinstance(image, ImagePixels)
    return image.pixels


def _digest(sample: Sample) -> str:
    return hashlib.sha256(_pixels(sample).tobytes()).hexdigest()


def test_the_same_settings_and_index_give_the_same_scene() -> None:
    first, second = Scenes(seed=3).open("train")[17], Scenes(seed=3).open("train")[17]
    assert _digest(first) == _digest(second)
    assert first.instances == second.instances
    assert (first.captions, first.question, first.text) == (second.captions, second.question, second.text)
    assert _digest(first) != _digest(Scenes(seed=4).open("train")[17])


def test_a_scene_does_not_depend_on_how_many_there_are() -> None:
    assert _digest(Scenes(num_train=10).open("train")[9]) == _digest(Scenes(num_train=1000).open("train")[9])


@pytest.mark.parametrize("dataset", [Scenes(), Scenes(min_objects=0, max_objects=1, min_words=0, backgrounds=["flat"])])
def test_no_scene_is_in_both_splits(dataset: Scenes) -> None:
    train, held_out = dataset.open("train"), dataset.open("eval")
    train_digests = {_digest(train[index]) for index in range(200)}
    held_out_digests = {_digest(held_out[index]) for index in range(200)}
    assert not train_digests & held_out_digests


def test_scenes_of_other_seeds_stay_on_their_side_of_the_split() -> None:
    train, held_out = Scenes(seed=1).open("train"), Scenes(seed=2).open("eval")
    assert not {_digest(train[i]) for i in range(50)} & {_digest(held_out[i]) for i in range(50)}


@given(index=st.integers(0, 199))
@settings(max_examples=40, deadline=None)
def test_boxes_enclose_masks_and_masks_have_the_objects_colour(index: int) -> None:
    sample = CROWDED.open("train")[index]
    pixels = _pixels(sample).astype(int)
    claimed = np.zeros(pixels.shape[:2], dtype=int)
    for instance in sample.instances or ():
        assert instance.mask is not None
        mask = instance.mask.to_array()
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = instance.box.to_xyxy_pixels(mask.shape)
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (left, top, right, bottom) == pytest.approx(edges)
        colour, shape = instance.label.split(" ")
        assert shape in SHAPES
        assert np.median(np.abs(pixels[mask == 1] - COLOURS[colour]).max(axis=1)) <= 1
        claimed += mask
    assert claimed.max(initial=0) <= 1


def test_enough_of_every_object_can_be_seen() -> None:
    dataset = Scenes(max_objects=8, min_visible=0.6)
    areas = [
        instance.mask.area_pixels
        for index in range(50)
        for instance in dataset.open("train")[index].instances or ()
        if instance.mask is not None
    ]
    # The smallest shape, a triangle of the smallest radius, covers 0.0130 of the image; soft edges cost a little.
    assert min(areas) >= 0.55 * 0.0130 * 112 * 112


def test_what_is_said_agrees_with_what_is_drawn() -> None:
    source = CROWDED.open("train")
    asked = set()
    for index in range(120):
        sample = source[index]
        labels = [instance.label for instance in sample.instances or ()]
        kinds = [label.split(" ")[1] for label in labels]
        assert sample.question is not None
        (answer,) = sample.answers
        words = sample.question.rstrip("?").split(" ")
        asked.add(words[0])
        if sample.question.startswith("how many shapes"):
            assert answer == str(len(labels))
        elif sample.question.startswith("how many"):
            counted = words[2].removesuffix("es") if words[2] == "crosses" else words[2].removesuffix("s")
            assert answer == str(kinds.count(counted))
        elif sample.question.startswith("what colour"):
            assert f"{answer} {words[-1]}" in labels
            assert kinds.count(words[-1]) == 1
        elif sample.question.startswith("is there"):
            assert answer == ("yes" if " ".join(words[3:]) in labels else "no")
        else:
            assert answer == sample.text
        for label in labels:
            assert label in sample.captions[0]
        assert sample.text
        assert all(word in sample.captions[-1] for word in sample.text.split(" "))
        assert set(labels) <= set(sample.label_set)
    assert asked == {"how", "what", "is"}


def test_both_answers_to_existence_questions_are_common() -> None:
    source = Scenes(questions=["existence"]).open("train")
    answers = [source[index].answers[0] for index in range(200)]
    assert 0.35 < answers.count("yes") / len(answers) < 0.65


def test_labels_can_be_shapes_alone() -> None:
    dataset = Scenes()
    assert dataset.open("eval")[0].label_set == ("circle", "square", "triangle")


def test_a_long_word_shrinks_to_fit_the_image() -> None:
    sample = Scenes(image_size=48, words=["incomprehensibilities"], num_train=5).open("train")[0]
    assert sample.text == "incomprehensibilities"


def test_an_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'val' does not exist: dataset\.train_split is 'train'"):
        Scenes().open("val")


@pytest.mark.parametrize("index", [-1, 4000])
def test_an_index_outside_the_split_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match="4000 scenes"):
        Scenes().open("train")[index]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 8}, r"image_size must be at least 32, got 8"),
        ({"shapes": ["circel"]}, r"shapes must be one or more of circle"),
        ({"colours": []}, r"colours must be one or more of red"),
        ({"questions": ["count", "count"]}, r"questions .* each once"),
        ({"min_objects": 4}, r"max_objects must be at least 4, got 3"),
        ({"words": []}, r"max_words is 1, but words is empty"),
        ({"words": ["naïve"]}, r"words must be ASCII"),
        ({"eval_split": "train"}, r"train_split and eval_split must differ"),
        ({"min_visible": float("nan")}, r"min_visible must be between"),
    ],
)
def test_wrong_settings_are_refused_by_name(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scenes(**fields)  # type: ignore[arg-type]


def test_objects_are_told_from_left_to_right() -> None:
    source = CROWDED.open("train")
    for index in range(20):
        lefts = [instance.box.left for instance in source[index].instances or ()]
        assert lefts == sorted(lefts)
