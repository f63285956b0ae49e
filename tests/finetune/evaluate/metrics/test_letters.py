"""The letter of the right option."""

import pytest

from finetune.evaluate.metrics.letters import letter_lack, letter_match, letter_metrics, read_letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is B.", "b"),
        ("THE ANSWER IS b. BECAUSE: it has six legs.", "b"),
        ("The answer is B", None),
        (" The answer is B.", None),
        ("So the answer is B.", None),
        ("The answer is BC.", None),
        ("The answer is 2.", None),
        ("", None),
    ],
)
def test_a_letter_is_read_from_the_beginning_of_the_text_alone(text: str, letter: str | None) -> None:
    assert read_letter(text) == letter


def test_a_text_without_a_letter_is_wrong_whatever_the_truth_is() -> None:
    assert letter_match("B", ["The answer is B."]) == 0.0
    assert letter_match("no idea", ["no idea"]) == 0.0
    assert letter_match("the answer is b.", ["The answer is B."]) == 1.0
    assert letter_lack("B", ["The answer is B."]) == 1.0
    assert letter_lack("The answer is A.", ["The answer is B."]) == 0.0


def test_both_scores_are_told_apart_by_category_on_request() -> None:
    metrics = letter_metrics(lambda sample: sample.answers, ["natural"])
    assert [metric.names() for metric in metrics.values()] == [
        ("accuracy", "accuracy/natural", "accuracy/mean"),
        ("parsefail", "parsefail/natural", "parsefail/mean"),
    ]
