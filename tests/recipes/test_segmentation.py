"""The segmentation recipe, with the embedded codec."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.scenes import Scenes
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.tokens.objects import parse_masks
from finetune.types import BadSampleError, Instance, Sample
from recipes.mask_words import MissingMasks
from recipes.object_lists import ObjectOrder, OtherLabels
from recipes.segmentation import Segmentation

RNG = np.random.default_rng(0)
SIZE = (120, 160)


def _disc(label: str, x: int, y: int, radius: int, *, is_crowd: bool = False) -> Instance:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    box = Box.from_xywh_pixels(x - radius, y - radius, 2 * radius, 2 * radius, image_size=SIZE)
    return Instance(label=label, box=box, mask=Mask.from_array(inside.astype(np.uint8)), is_crowd=is_crowd)


CAT, DOG, BUS = _disc("cat", 110, 60, 30), _disc("dog", 30, 30, 20), _disc("bus", 60, 90, 25)
BARE = Instance(label="cat", box=CAT.box)


def _sample(*instances: Instance, suffix: str | None = None) -> Sample:
    return Sample(
        sample_id="7",
        origin="val:8",
        images=(),
        image_size=SIZE,
        instances=instances,
        label_set=("bus", "cat", "dog"),
        suffix=suffix,
    )


def _said(recipe: Segmentation, sample: Sample) -> list[str]:
    return [mask.label for mask in parse_masks(recipe.encode(sample, RNG).suffix).masks]


def test_a_mask_is_said_between_its_box_and_its_label() -> None:
    example = Segmentation().encode(_sample(CAT, DOG), RNG)
    assert example.prefix == "segment bus ; cat ; dog"
    first, second = example.suffix.split(" ; ")
    assert first.startswith("<loc0256><loc0512><loc0767><loc0895><seg")
    assert (first.count("<seg"), first[-4:], second[-4:]) == (16, " cat", " dog")
    assert example.notes == {}


def test_what_the_recipe_says_is_read_back_where_it_was() -> None:
    recipe, sample = Segmentation(), _sample(CAT, DOG, BUS)
    prediction = recipe.decode(recipe.encode(sample, RNG).suffix, sample)
    assert [(one.label, one.mask and (one.mask.height, one.mask.width)) for one in prediction.objects] == [
        ("cat", SIZE),
        ("dog", SIZE),
        ("bus", SIZE),
    ]
    metrics = recipe.metrics()
    scores = {name: metric.update(prediction, sample) for name, metric in metrics.items()}
    assert (scores["masks"] or 0) > 0.8
    assert scores["boxes"] == 1.0
    assert metrics["masks"].compute()["mask_mAP50"] == pytest.approx(1.0)
    assert metrics["boxes"].compute()["mAP"] == pytest.approx(1.0)
    assert recipe.reference(sample) == recipe.encode(sample, RNG).suffix


def test_order_limit_and_labels_are_those_of_detection() -> None:
    sample = _sample(CAT, DOG, BUS)
    assert _said(Segmentation(object_order=ObjectOrder.left_to_right), sample) == ["dog", "bus", "cat"]
    limited = Segmentation(max_objects=1, object_order=ObjectOrder.by_size)
    assert _said(limited, sample) == ["cat"]
    assert limited.encode(sample, RNG).notes == {"boxes over the limit": 2}
    cats = Segmentation(labels=["cat"], other_labels=OtherLabels.leave_out, keep_empty=False)
    assert _said(cats, sample) == ["cat"]
    takes_part = cats.selection()
    assert takes_part is not None
    assert not pickle.loads(pickle.dumps(takes_part))(_sample(DOG))
    with pytest.raises(ValueError, match="max_objects must be at least 1"):
        Segmentation(max_objects=0)


def test_an_object_without_a_mask_is_refused_or_left_out_everywhere() -> None:
    sample = _sample(BARE, DOG)
    with pytest.raises(BadSampleError, match=r"boxes\[0\].mask: 'cat' has no mask.*leave_out.*missing-mask"):
        Segmentation().encode(sample, RNG)
    with pytest.raises(BadSampleError, match="missing-mask"):
        Segmentation().ask(sample)
    recipe = Segmentation(missing_masks=MissingMasks.leave_out)
    example = recipe.encode(sample, RNG)
    assert example.notes == {"objects without a mask left out": 1}
    prediction = recipe.decode(example.suffix, sample)
    metrics = recipe.metrics()
    assert [one.label for one in prediction.objects] == ["dog"]
    assert (metrics["masks"].update(prediction, sample) or 0) > 0.8
    assert metrics["boxes"].update(prediction, sample) == 1.0


def test_crowds_need_no_mask_and_are_never_said() -> None:
    crowd = Instance(label="cat", box=CAT.box, is_crowd=True)
    example = Segmentation().encode(_sample(crowd, DOG), RNG)
    assert [mask.label for mask in parse_masks(example.suffix).masks] == ["dog"]
    assert example.notes == {"crowd regions left out": 1}


def test_a_box_without_a_pixel_is_left_out_and_a_mask_outside_its_box_refused() -> None:
    thin = Instance(label="dog", box=Box(top=0.5, left=0.5, bottom=0.502, right=0.9), mask=DOG.mask)
    assert _said(Segmentation(), _sample(thin, CAT)) == ["cat"]
    moved = Instance(label="dog", box=CAT.box, mask=DOG.mask)
    with pytest.raises(BadSampleError, match=r"boxes\[1\].mask: the mask of 'dog' has no pixel in its box.*outside"):
        Segmentation().encode(_sample(BUS, moved), RNG)


def test_ready_made_masks_are_used_and_are_the_truth() -> None:
    recipe = Segmentation()
    suffix = recipe.encode(_sample(CAT), RNG).suffix
    sample = _sample(suffix=suffix)
    assert recipe.encode(sample, RNG).suffix == suffix == recipe.reference(sample)
    prediction = recipe.decode(suffix, sample)
    assert recipe.metrics()["masks"].update(prediction, sample) == 1.0
    with pytest.raises(BadSampleError, match=r"suffix: 1 of the parts.*<seg> x 16.*malformed-objects"):
        recipe.encode(_sample(suffix="<loc0100><loc0200><loc0300><loc0400> cat"), RNG)


def test_a_sample_without_annotated_objects_is_refused() -> None:
    sample = Sample(sample_id="7", origin="val:8", images=(), label_set=("cat",), captions=("a",))
    with pytest.raises(BadSampleError, match=r"captions \(recipe=captioning\) \[missing-masks\]"):
        Segmentation().encode(sample, RNG)
    assert Segmentation().metrics()["masks"].compute() == {}


@given(st.text(alphabet=st.sampled_from([*"<>loceg0123456789; a"]), max_size=160))
def test_decoding_never_raises(text: str) -> None:
    assert Segmentation().decode(text, _sample()).text == text


def test_scenes_score_as_high_as_the_codec_allows() -> None:
    recipe, source = Segmentation(), Scenes(num_eval=12).open("eval")
    metric = recipe.metrics()["masks"]
    for index in range(len(source)):
        sample = source[index]
        metric.update(recipe.decode(recipe.encode(sample, RNG).suffix, sample), sample)
    assert metric.compute()["mIoU"] > 0.8


def test_a_codec_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"mask_codec=nowhere\.npz is not a file"):
        Segmentation(mask_codec="nowhere.npz").codec()
