from dataclasses import replace

import pytest

from finetune.leaderboard.comparison import compare
from finetune.leaderboard.figures import published
from finetune.leaderboard.run_result import RunResult

RESULT = RunResult(
    name="run",
    experiment="docvqa",
    dataset=None,
    model="paligemma-3b",
    base="google/paligemma-3b-pt-448",
    image_size=448,
    split="val",
    scores={"ANLS": 0.75, "exact_match": 0.5},
    best_metric=None,
    num_samples=5_349,
    doubts=(),
)


def test_a_score_stands_beside_the_figure_of_its_model_resolution_and_split() -> None:
    (one,) = compare(RESULT, published())
    assert (one.score, one.value, one.published, one.told_by) == ("ANLS", 75.0, 74.1, "PaliGemma 2, Table 15")
    assert one.marks == ()
    assert one.difference == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("changes", "figure", "marks"),
    [
        ({"split": "train"}, 78.02, ("the figure is of test, by the server",)),
        ({"model": None, "image_size": 112}, 37.8, ("the figure is of paligemma-3b", "the figure is at 224 pixels")),
        ({"model": "paligemma2-28b", "image_size": 896}, 76.1, ("the figure is at 448 pixels",)),
        ({"doubts": ("not finished",)}, 74.1, ("not finished",)),
        ({"image_size": None}, 37.8, ("the figure is at 224 pixels",)),
    ],
)
def test_the_nearest_figure_is_shown_with_what_keeps_the_two_apart_and_no_difference(
    changes: dict[str, object], figure: float, marks: tuple[str, ...]
) -> None:
    (one,) = compare(replace(RESULT, **changes), published())  # type: ignore[arg-type]
    assert (one.published, one.marks, one.difference) == (figure, marks, None)


def test_a_score_of_another_data_set_is_not_that_of_the_experiment() -> None:
    coco, nocaps = (published().datasets[name] for name in ("cococap", "nocaps"))
    captions = replace(RESULT, experiment="cococap", image_size=224, scores={"CIDEr": 1.2})
    (own,) = compare(replace(captions, dataset=coco), published())
    assert (own.published, own.marks) == (141.92, ())
    (other,) = compare(replace(captions, dataset=nocaps), published())
    assert (other.marks, other.difference) == (("the figure is of CocoCaptions, not of NoCaps",), None)


def test_each_score_with_a_figure_has_a_row() -> None:
    scores = {f"relaxed_accuracy{name}": 0.5 for name in ("", "/human", "/augmented", "/mean")}
    rows = compare(replace(RESULT, experiment="chartqa", split="test", image_size=224, scores=scores), published())
    assert [(one.score, one.published) for one in rows] == [
        ("relaxed_accuracy/mean", 57.08),
        ("relaxed_accuracy/human", 40.0),
        ("relaxed_accuracy/augmented", 74.2),
    ]


def test_a_test_set_may_be_one_of_several_or_alone() -> None:
    several = replace(
        RESULT,
        experiment="refcoco_seg",
        split="refcoco_val+refcocop_val",
        scores={"mIoU": 0.7, "mIoU/refcoco_val": 0.75, "mIoU/refcocop_val": 0.65},
    )
    rows = compare(several, published())
    assert [(one.score, one.value, one.published, one.marks) for one in rows] == [
        ("mIoU/refcoco_val", 75.0, 75.57, ()),
        ("mIoU/refcocop_val", 65.0, 69.76, ()),
    ]
    (alone,) = compare(replace(several, split="refcoco_testA", scores={"mIoU": 0.7}), published())
    assert (alone.score, alone.value, alone.published, alone.marks) == ("mIoU/refcoco_testA", 70.0, 77.9, ())


def test_a_share_is_not_taken_times_100() -> None:
    scores = {"CIDEr": 1.7, "BLEU-4": 0.2}
    rows = compare(replace(RESULT, experiment="scicap", split="test", scores=scores), published())
    assert [(one.score, one.value, one.published) for one in rows] == [
        ("CIDEr", 170.0, 181.49),
        ("BLEU-4", 0.2, 0.211),
    ]


def test_a_run_that_nothing_was_published_for_has_a_row_without_a_figure() -> None:
    demo = replace(RESULT, experiment="demo")
    (first,) = compare(demo, published())
    assert (first.score, first.value, first.published, first.difference) == ("ANLS", 0.75, None, None)
    (best,) = compare(replace(demo, best_metric="exact_match"), published())
    assert (best.score, best.value) == ("exact_match", 0.5)
    (none,) = compare(replace(demo, scores={}), published())
    assert (none.score, none.value) == ("", None)


def test_a_transfer_without_scores_yet_shows_what_is_to_be_reached() -> None:
    (one,) = compare(replace(RESULT, scores={}, doubts=("not finished",)), published())
    assert (one.score, one.value, one.published) == ("ANLS", None, 74.1)


def test_a_transfer_whose_recipe_has_other_scores_shows_those() -> None:
    (one,) = compare(replace(RESULT, scores={"CER": 0.1}), published())
    assert (one.score, one.published) == ("CER", None)
