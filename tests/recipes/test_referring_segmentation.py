"""Referring expressions, with the embedded codec."""

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from datasets_adapters.scenes import LabelStyle, Scenes
from finetune.evaluate.division import Divides, divide
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import BadSampleError, Instance, Sample
from recipes.mask_words import MissingMasks
from recipes.referring_segmentation import ReferringSegmentation, SharedExpressions, TargetChoice

RNG = np.random.default_rng(0)
SIZE = (100, 100)


def _block(label: str, left: int, *, is_crowd: bool = False) -> Instance:
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[20:60, left : left + 20] = 1
    box = Box.from_xywh_pixels(left, 20, 20, 40, image_size=SIZE)
    return Instance(label=label, box=box, mask=Mask.from_array(pixels), is_crowd=is_crowd)


LEFT, RIGHT = _block("the left dog", 10), _block("the right dog", 60)


def _sample(*instances: Instance, prefix: str | None = None, suffix: str | None = None) -> Sample:
    return Sample(
        sample_id="7",
        origin="val:8",
        images=(),
        image_size=SIZE,
        instances=instances,
        label_set=("a", "b"),
        prefix=prefix,
        suffix=suffix,
    )


def test_the_prefix_is_the_bare_expression_and_the_suffix_has_no_label() -> None:
    example = ReferringSegmentation().encode(_sample(LEFT), RNG)
    assert example.prefix == "the left dog"
    assert example.suffix.startswith("<loc0205><loc0102><loc0614><loc0307><seg")
    assert example.suffix.endswith(">")
    assert example.suffix.count("<seg") == 16
    assert ReferringSegmentation(prefix="segment {expression}").ask(_sample(LEFT)).prefix == "segment the left dog"


@pytest.mark.parametrize(
    "objects",
    [
        (LEFT, replace(LEFT, label="brown dog"), replace(LEFT, label="dog by the door"), RIGHT),
        (
            replace(LEFT, label="dog", expressions=("the left dog", "brown dog", "dog by the door")),
            replace(RIGHT, label="dog", expressions=("the right dog",)),
        ),
    ],
    ids=["an entry each", "listed"],
)
def test_an_object_is_drawn_and_then_one_of_its_expressions(objects: tuple[Instance, ...]) -> None:
    sample = _sample(*objects)
    drawn = Counter(ReferringSegmentation().encode(sample, np.random.default_rng(seed)).prefix for seed in range(300))
    assert 120 < drawn["the right dog"] < 180
    assert len(drawn) == 4


def test_an_expression_that_names_two_objects_is_never_asked() -> None:
    sample = _sample(LEFT, replace(RIGHT, label="a dog"), _block("a dog", 30))
    example = ReferringSegmentation().encode(sample, RNG)
    assert example.prefix == "the left dog"
    assert example.notes == {"expressions that name no one object with a mask": 2}
    takes_part = ReferringSegmentation().selection()
    assert takes_part is not None
    assert takes_part(sample)
    assert not pickle.loads(pickle.dumps(takes_part))(_sample(_block("a dog", 10), _block("a dog", 60)))
    with pytest.raises(BadSampleError, match="no-target"):
        ReferringSegmentation().encode(_sample(_block("a dog", 10, is_crowd=True)), RNG)


def test_an_evaluation_asks_for_every_expression_once() -> None:
    recipe = ReferringSegmentation()
    assert isinstance(recipe, Divides)
    divided = recipe.divide(_sample(LEFT, RIGHT, replace(RIGHT, label="the black one")))
    assert [(one.sample_id, recipe.ask(one).prefix) for one in divided] == [
        ("7/0", "the left dog"),
        ("7/1", "the right dog"),
        ("7/2", "the black one"),
    ]
    metric = recipe.metrics()["referring"]
    for one in divided:
        text = recipe.reference(one)
        assert (metric.update(recipe.decode(text, one), one) or 0) > 0.8
    scores = metric.compute()
    assert scores["mIoU"] > 0.8
    assert (scores["boxacc75"], scores["invalid"], scores["total"]) == (1.0, 0.0, 3.0)


def test_an_evaluation_asks_for_every_expression_of_an_object() -> None:
    recipe = ReferringSegmentation()
    sample = _sample(
        replace(LEFT, label="dog", expressions=("the left dog", "brown")),
        replace(RIGHT, label="dog"),
        _block("cat", 35),
    )
    assert [recipe.ask(one).prefix for one in recipe.divide(sample)] == ["the left dog", "brown", "cat"]
    for one in recipe.divide(sample):
        (truth,) = one.instances or ()
        assert (truth.label, truth.expressions) == (recipe.ask(one).prefix, ())
        assert recipe.encode(one, RNG).prefix == truth.label
    assert recipe.encode(sample, RNG).notes == {"expressions that name no one object with a mask": 1}


def test_every_row_is_read_beforehand_unless_that_is_not_wanted() -> None:
    unnamed = _sample(_block("a dog", 10), _block("a dog", 60))
    takes_part = ReferringSegmentation().selection()
    assert takes_part is not None
    assert not takes_part(unnamed)
    recipe = ReferringSegmentation(leave_out_unnamed=False)
    assert recipe.selection() is None
    with pytest.raises(BadSampleError, match=r"recipe\.leave_out_unnamed=true leaves such images out"):
        recipe.encode(unnamed, RNG)
    assert recipe.divide(unnamed) == ()


def test_what_is_decoded_is_called_by_the_expression() -> None:
    recipe, sample = ReferringSegmentation(prefix="segment {expression}"), _sample(LEFT, RIGHT)
    text = recipe.encode(_sample(RIGHT), RNG).suffix
    (named,) = recipe.decode(text, replace(sample, prefix="segment the right dog")).objects
    assert named.label == "the right dog"
    (free,) = recipe.decode(text, replace(sample, prefix="the red car", instances=None)).objects
    assert free.label == "the red car"
    assert recipe.decode("nothing", sample).num_malformed == 1


def test_a_ready_made_prefix_is_the_expression_for_the_only_object() -> None:
    recipe = ReferringSegmentation()
    sample = _sample(_block("dog", 10), prefix="that one")
    assert recipe.encode(sample, RNG).prefix == recipe.ask(sample).prefix == "that one"
    assert recipe.divide(sample) == (sample,)
    with pytest.raises(BadSampleError, match=r"prefix: a ready-made prefix names one object, and there are 2"):
        recipe.encode(_sample(LEFT, RIGHT, prefix="that one"), RNG)
    with pytest.raises(BadSampleError, match="missing-expression"):
        recipe.ask(_sample())


def test_a_ready_made_suffix_is_used_and_is_the_truth_where_no_mask_is() -> None:
    recipe = ReferringSegmentation()
    suffix = recipe.encode(_sample(LEFT), RNG).suffix
    sample = replace(_sample(prefix="that one", suffix=suffix), instances=None)
    assert recipe.encode(sample, RNG).suffix == suffix
    assert recipe.metrics()["referring"].update(recipe.decode(suffix, sample), sample) == 1.0
    with pytest.raises(BadSampleError, match="malformed-objects"):
        recipe.encode(replace(sample, suffix="dog"), RNG)


def test_objects_without_a_mask_are_refused_or_left_out() -> None:
    sample = _sample(LEFT, replace(RIGHT, mask=None))
    takes_part = ReferringSegmentation().selection()
    assert takes_part is not None
    assert takes_part(_sample(replace(RIGHT, mask=None))), "kept, so that it is refused by name"
    with pytest.raises(BadSampleError, match="missing-mask"):
        ReferringSegmentation().encode(sample, RNG)
    recipe = ReferringSegmentation(missing_masks=MissingMasks.leave_out)
    assert [one.instances for one in recipe.divide(sample)] == [(LEFT,)]


def test_a_prefix_without_the_expression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prefix must hold \{expression\}"):
        ReferringSegmentation(prefix="segment")


def test_scenes_are_asked_by_colour_and_shape() -> None:
    source = Scenes(num_eval=12, label_style=LabelStyle.colour_shape).open("eval")
    recipe = ReferringSegmentation()
    questions = divide(source, recipe)
    assert len(questions) > 12
    for index in range(len(questions)):
        assert len(questions[index].instances or ()) == 1
        assert questions[index].label_set == ()


def test_scores_are_told_apart_by_the_test_set_of_a_sample_and_its_parts_keep_it() -> None:
    recipe = ReferringSegmentation(categories=["testA", "testB"])
    metric = recipe.metrics()["referring"]
    for sample in recipe.divide(replace(_sample(LEFT, RIGHT), category="testA")):
        metric.update(recipe.decode(recipe.reference(sample), sample), sample)
    scores = metric.compute()
    assert scores["mIoU/testA"] == scores["mIoU"] == scores["mIoU/mean"] > 0.9
    assert "mIoU/testB" not in scores
    assert "mIoU/testB" in metric.names()


def test_objects_come_in_turn_with_an_expression_drawn_each_time() -> None:
    recipe = ReferringSegmentation(target=TargetChoice.cycle)
    named = replace(LEFT, label="dog", expressions=("the left dog", "brown dog"))
    sample = _sample(named, RIGHT, _block("cat", 85))
    for first in (0, 3, 6):
        said = [
            recipe.encode(replace(sample, visit=visit), np.random.default_rng(visit)).prefix
            for visit in range(first, first + 3)
        ]
        assert sorted("left" if name in named.expressions else name for name in said) == [
            "cat",
            "left",
            "the right dog",
        ]
    drawn = {recipe.encode(sample, np.random.default_rng(seed)).prefix for seed in range(40)}
    assert drawn in ({"the left dog", "brown dog"}, {"the right dog"}, {"cat"})


def test_expressions_that_objects_share_are_kept_for_each_of_them_where_that_is_wanted() -> None:
    sample = _sample(_block("a dog", 10), _block("a dog", 60))
    recipe = ReferringSegmentation(shared_expressions=SharedExpressions.keep, target=TargetChoice.cycle)
    examples = [recipe.encode(replace(sample, visit=visit), RNG) for visit in (0, 1)]
    assert [one.prefix for one in examples] == ["a dog", "a dog"]
    assert len({one.suffix for one in examples}) == 2
    assert examples[0].notes == {}
    assert len(recipe.divide(sample)) == 2
    assert recipe.selection()(sample)
