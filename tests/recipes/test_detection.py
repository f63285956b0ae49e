"""The detection recipe."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.tokens.objects import parse_objects
from finetune.types import BadSampleError, Instance, Sample
from recipes.detection import Detection
from recipes.object_lists import ObjectOrder, OtherLabels, PrefixLabels

RNG = np.random.default_rng(0)


def _object(label: str, left: float, size: float, *, is_crowd: bool = False) -> Instance:
    return Instance(label=label, box=Box(top=0.1, left=left, bottom=0.1 + size, right=left + size), is_crowd=is_crowd)


CAT, DOG, BUS = _object("cat", 0.5, 0.2), _object("dog", 0.1, 0.1), _object("bus", 0.3, 0.4)
LABELS = ("bus", "cat", "dog", "zebra")


def _sample(
    *instances: Instance, label_set: tuple[str, ...] = LABELS, prefix: str | None = None, suffix: str | None = None
) -> Sample:
    return Sample(
        sample_id="7",
        origin="val:8",
        images=(),
        image_size=(100, 100),
        instances=instances,
        label_set=label_set,
        prefix=prefix,
        suffix=suffix,
    )


def _said(recipe: Detection, sample: Sample, seed: int = 0) -> list[str]:
    suffix = recipe.encode(sample, np.random.default_rng(seed)).suffix
    return [instance.label for instance in parse_objects(suffix).objects]


def test_the_prefix_asks_for_every_label_or_the_present_ones() -> None:
    sample = _sample(DOG, CAT, DOG)
    assert Detection().ask(sample).prefix == "detect bus ; cat ; dog ; zebra"
    assert Detection(labels=["dog", "cat"]).encode(sample, RNG).prefix == "detect dog ; cat"
    assert Detection(prefix_labels=PrefixLabels.present).ask(sample).prefix == "detect cat ; dog"
    assert Detection(prefix_labels=PrefixLabels.present).ask(_sample(DOG, label_set=())).prefix == "detect dog"
    assert Detection(prefix_labels=PrefixLabels.present).ask(_sample()).prefix == "detect bus ; cat ; dog ; zebra"
    assert Detection(prefix="boxes").ask(_sample(label_set=())).prefix == "boxes"


def test_the_suffix_is_location_tokens_and_label() -> None:
    sample = _sample(Instance(label="cat", box=Box(top=0.0, left=0.25, bottom=0.5, right=1.0)))
    assert Detection().encode(sample, RNG).suffix == "<loc0000><loc0256><loc0512><loc1023> cat"


def test_boxes_follow_the_chosen_order() -> None:
    sample = _sample(CAT, DOG, BUS)
    assert _said(Detection(), sample) == ["cat", "dog", "bus"]
    assert _said(Detection(box_order=ObjectOrder.left_to_right), sample) == ["dog", "bus", "cat"]
    assert _said(Detection(box_order=ObjectOrder.by_size), sample) == ["bus", "cat", "dog"]
    drawn = Detection(box_order=ObjectOrder.random)
    assert len({tuple(_said(drawn, sample, seed)) for seed in range(60)}) == 6
    assert _said(drawn, sample, 5) == _said(drawn, sample, 5)


def test_boxes_over_the_limit_and_too_thin_ones_are_counted() -> None:
    thin = _object("cat", 0.2, 0.0001)
    example = Detection(max_boxes=2, box_order=ObjectOrder.by_size).encode(_sample(CAT, thin, DOG, BUS), RNG)
    assert [instance.label for instance in parse_objects(example.suffix).objects] == ["bus", "cat"]
    assert example.notes == {"boxes over the limit": 1, "boxes thinner than a location bin": 1}
    assert Detection(max_boxes=2).encode(_sample(CAT, DOG), RNG).notes == {}


def test_crowds_are_never_said() -> None:
    sample = _sample(CAT, _object("dog", 0.2, 0.5, is_crowd=True))
    assert _said(Detection(), sample) == ["cat"]
    assert Detection().encode(sample, RNG).notes == {"crowd regions left out": 1}
    assert Detection(prefix_labels=PrefixLabels.present).ask(sample).prefix == "detect cat"


def test_images_without_boxes_are_kept_or_dropped_by_a_setting() -> None:
    assert Detection().encode(_sample(), RNG).suffix == ""
    assert Detection().selection() is None
    takes_part = Detection(keep_empty=False).selection()
    assert takes_part is not None
    assert takes_part(_sample(CAT))
    assert not takes_part(_sample())
    assert not takes_part(_sample(_object("dog", 0.2, 0.5, is_crowd=True)))
    assert not takes_part(_sample(suffix=" "))
    assert not takes_part(_sample(_object("cat", 0.2, 0.0001)))
    assert takes_part(_sample(_object("cat", 0.2, 0.0001), DOG))
    assert takes_part(Sample(sample_id="7", origin="", images=()))
    # Loader workers receive it.
    assert pickle.loads(pickle.dumps(takes_part))(_sample(CAT))


@pytest.mark.parametrize("label", ["a;b", "<a", "", " a", "a\nb"])
def test_labels_that_break_the_format_are_refused_by_name(label: str) -> None:
    sample = _sample(CAT, _object(label, 0.2, 0.2), label_set=("cat", label))
    with pytest.raises(BadSampleError, match=r"label_set: label .*bad-label"):
        Detection().encode(sample, RNG)
    with pytest.raises(BadSampleError, match=r"boxes\[1\].label: label .*bad-label"):
        Detection(prefix="boxes").encode(sample, RNG)
    with pytest.raises(ValueError, match="label"):
        Detection(labels=[label])


def test_a_label_that_is_not_looked_for_is_refused_by_name() -> None:
    with pytest.raises(BadSampleError, match=r"boxes\[1\].label: label .dog. is not one of cat.*leave_out"):
        Detection(labels=["cat"]).encode(_sample(CAT, DOG), RNG)
    with pytest.raises(BadSampleError, match="unknown-label"):
        Detection(labels=["cat"]).ask(_sample(CAT, DOG))


def test_labels_that_are_not_looked_for_can_be_left_out_of_suffix_prefix_and_truth() -> None:
    recipe = Detection(labels=["cat"], other_labels=OtherLabels.leave_out, keep_empty=False)
    sample = _sample(DOG, CAT, _object("bus", 0.2, 0.5, is_crowd=True), BUS)
    example = recipe.encode(sample, RNG)
    assert [instance.label for instance in parse_objects(example.suffix).objects] == ["cat"]
    assert example.notes == {"boxes of other labels left out": 3}
    assert recipe.reference(sample) == example.suffix
    assert recipe.metrics()["detection"].update(recipe.decode(example.suffix, sample), sample) == 1.0
    takes_part = recipe.selection()
    assert takes_part is not None
    assert takes_part(sample)
    assert not takes_part(_sample(DOG))
    present = Detection(labels=["cat"], other_labels=OtherLabels.leave_out, prefix_labels=PrefixLabels.present)
    assert present.ask(_sample(DOG)).prefix == "detect cat"


def test_without_any_label_the_setting_to_use_is_named() -> None:
    with pytest.raises(BadSampleError, match=r"recipe.labels=\[...\].*prefix=.*missing-labels"):
        Detection().ask(_sample(CAT, label_set=()))


def test_a_sample_without_annotated_boxes_is_refused() -> None:
    sample = Sample(sample_id="7", origin="val:8", images=(), label_set=LABELS, captions=("a",))
    with pytest.raises(BadSampleError, match=r"captions \(recipe=captioning\) \[missing-boxes\]"):
        Detection().encode(sample, RNG)
    assert Detection().reference(sample) == ""


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="max_boxes must be at least 1"):
        Detection(max_boxes=0)
    with pytest.raises(ValueError, match="repeat"):
        Detection(labels=["cat", "cat"])
    with pytest.raises(ValueError, match=r"known: \{labels\}"):
        Detection(prefix="detect {label}")
    with pytest.raises(ValueError, match="other_labels=leave_out has no effect without labels"):
        Detection(other_labels=OtherLabels.leave_out)


def test_ready_made_text_overrides_the_recipe_and_its_boxes_are_the_truth() -> None:
    recipe = Detection(labels=["dog"])
    box = "<loc0100><loc0200><loc0300><loc0400>"
    sample = _sample(CAT, prefix="detect cat", suffix=f"{box} cat")
    example = recipe.encode(sample, RNG)
    assert (example.prefix, example.suffix, recipe.reference(sample)) == ("detect cat", f"{box} cat", f"{box} cat")
    assert example.notes["ready-made suffixes used as they are"] == 1
    metric = recipe.metrics()["detection"]
    assert metric.update(recipe.decode(f"{box} cat", sample), sample) == 1.0
    assert metric.compute()["mAP"] == pytest.approx(1.0)


def test_a_ready_made_suffix_that_is_no_list_of_objects_is_refused() -> None:
    with pytest.raises(BadSampleError, match=r"suffix: 1 of the parts.*recipe=verbatim.*malformed-objects"):
        Detection().encode(_sample(suffix="<loc0300><loc0200><loc0100><loc0400> cat"), RNG)


def test_decoding_counts_what_is_malformed() -> None:
    prediction = Detection().decode("<loc0100><loc0200><loc0300><loc0400> cat ; dog", _sample())
    assert [instance.label for instance in prediction.objects] == ["cat"]
    assert prediction.num_malformed == 1


@given(st.text())
def test_decoding_never_raises(text: str) -> None:
    assert Detection().decode(text, _sample()).text == text


def test_a_suffix_said_by_the_recipe_scores_perfectly() -> None:
    recipe, sample = Detection(box_order=ObjectOrder.random), _sample(CAT, DOG, BUS)
    metric = recipe.metrics()["detection"]
    prediction = recipe.decode(recipe.encode(sample, RNG).suffix, sample)
    assert metric.update(prediction, sample) == 1.0
    assert metric.compute()["mAP50"] == pytest.approx(1.0)
    assert recipe.reference(sample) == Detection().encode(sample, RNG).suffix
