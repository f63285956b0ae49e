"""What is asked for and said, whatever it is said as; the recipes' own tests try every setting."""

import pickle

import numpy as np
import pytest

from finetune.geometry import Box
from finetune.types import BadSampleError, Instance, Sample
from recipes.detection import Detection
from recipes.object_lists import (
    ObjectList,
    ObjectOrder,
    ObjectSettings,
    OtherLabels,
    PrefixLabels,
    check_ready_made,
    object_list,
)
from recipes.segmentation import Segmentation

CAT = Instance(label="cat", box=Box(top=0.1, left=0.5, bottom=0.2, right=0.9))
DOG = Instance(label="dog", box=Box(top=0.1, left=0.1, bottom=0.4, right=0.3))
SAMPLE = Sample(sample_id="7", origin="a:1", images=(), instances=(CAT, DOG), label_set=("cat", "dog"))


def _is_cat(sample: Sample, instance: Instance) -> bool:
    return instance.label == "cat"


def _rules(*, prefix: str = "find {labels}", labels: list[str] | None = None, limit: int | None = None) -> ObjectList:
    return ObjectList(
        prefix=prefix,
        labels=labels,
        other_labels=OtherLabels.refuse,
        prefix_labels=PrefixLabels.all,
        order=ObjectOrder.left_to_right,
        limit=limit,
        is_sayable=_is_cat,
    )


def test_what_cannot_be_said_is_counted_and_the_rest_ordered() -> None:
    chosen = _rules().choose(SAMPLE, np.random.default_rng(0))
    assert list(chosen.instances) == [CAT]
    assert chosen.notes == {"boxes thinner than a location bin": 1}


@pytest.mark.parametrize("recipe", [Detection, Segmentation])
def test_recipes_of_boxes_and_of_masks_make_the_same_rules_of_the_same_settings(
    recipe: type[Detection] | type[Segmentation],
) -> None:
    settings = recipe(prefix="find {labels}", labels=["cat"], other_labels=OtherLabels.leave_out)
    assert isinstance(settings, ObjectSettings)
    rules = object_list(settings, order=ObjectOrder.by_size, limit=3, is_sayable=_is_cat)
    assert (rules.prefix, rules.labels, rules.other_labels) == ("find {labels}", ["cat"], OtherLabels.leave_out)
    assert (rules.prefix_labels, rules.order, rules.limit) == (PrefixLabels.all, ObjectOrder.by_size, 3)
    assert rules.prefix_of(SAMPLE) == "find cat"


def test_the_rules_travel_to_loader_processes() -> None:
    assert pickle.loads(pickle.dumps(_rules().has_some))(SAMPLE)


def test_contradictions_are_refused_when_they_are_made() -> None:
    with pytest.raises(ValueError, match="repeat"):
        _rules(labels=["cat", "cat"])
    with pytest.raises(ValueError, match=r"known: \{labels\}"):
        _rules(prefix="find {label}")


def test_malformed_ready_made_text_is_refused_with_the_right_form() -> None:
    check_ready_made(SAMPLE, 0, "<loc>")
    with pytest.raises(BadSampleError, match=r"2 of the parts .* '<loc> label'"):
        check_ready_made(SAMPLE, 2, "<loc>")
