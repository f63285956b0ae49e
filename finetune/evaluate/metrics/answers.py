"""Scores of one short answer against its references, each in [0, 1], and their names in the configuration.

None of them changes case: a recipe's `lower_case` does that on both sides.
"""

from collections.abc import Callable, Sequence
from functools import partial

from finetune.evaluate.metrics.categories import told_apart
from finetune.evaluate.metrics.counting import CountingScores
from finetune.evaluate.metrics.mean import MeanScore, References, Score
from finetune.evaluate.metrics.vqa import vqa_accuracy
from finetune.evaluate.metrics.yes_no import YesNoScores
from finetune.types import Metric


def exact_match(text: str, references: Sequence[str]) -> float:
    """Return 1 if the text equals any of the references, character by character. The original calls it `acc_any`."""
    return float(text in references)


def agreement(text: str, references: Sequence[str]) -> float:
    """Return min(1, matches / 3), or the exact match where there is one reference. The original calls it `acc`.

    Source:
        big_vision evaluators/proj/paligemma/transfers/vqa.py (0127fb6).
    """
    matches = sum(reference == text for reference in references)
    return float(matches) if len(references) == 1 else min(1.0, matches / 3)


def anls(text: str, references: Sequence[str], *, threshold: float = 0.5) -> float:
    """Return one sample's term of the average normalised Levenshtein similarity: the best over the references.

    It is 1 - edits / length of the longer string, or 0 where that ratio reaches the threshold. Nothing is stripped.

    Source:
        Biten et al., Scene Text Visual Question Answering (2019); big_vision
        evaluators/proj/paligemma/transfers/vqa.py (0127fb6).
    """
    from rapidfuzz.distance import Levenshtein

    distance = min(Levenshtein.normalized_distance(text, reference) for reference in references)
    return 1 - distance if distance < threshold else 0.0


def relaxed_match(text: str, references: Sequence[str], *, tolerance: float = 0.05) -> float:
    """Return 1 if the text is within 5 % of a reference number, or equals it where either is no number.

    A percentage counts as its hundredth; commas and currency signs are not read; a reference of 0 is compared as text.

    Source:
        Masry et al., ChartQA (2022); big_vision evaluators/proj/paligemma/transfers/chartqa.py (0127fb6).
    """
    return float(any(_is_close(text, reference, tolerance) for reference in references))


def _is_close(text: str, reference: str, tolerance: float) -> bool:
    value, target = _number(text), _number(reference)
    if value is None or not target:
        return text == reference
    # Infinities make this a NaN, which is not close, as in the original.
    return abs(value - target) / abs(target) <= tolerance


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


_SCORES: dict[str, Score] = {
    "vqa_accuracy": vqa_accuracy,
    "agreement": agreement,
    "exact_match": exact_match,
    "ANLS": anls,
    "relaxed_accuracy": relaxed_match,
}
# They have further values beside the one that they are called by.
_SETS: dict[str, type[CountingScores] | type[YesNoScores]] = {
    "counting_accuracy": CountingScores,
    "yes_no_accuracy": YesNoScores,
}
ANSWER_SCORES = (*_SCORES, *_SETS)


def check_answer_scores(names: Sequence[str]) -> None:
    """Refuse a name that ANSWER_SCORES does not have, or none at all.

    Raises:
        ValueError: Naming the known ones.
    """
    unknown = [name for name in names if name not in ANSWER_SCORES]
    if unknown or not names:
        raise ValueError(f"scores must name some of {', '.join(ANSWER_SCORES)}, got {', '.join(unknown) or 'none'}")


def answer_metrics(
    names: Sequence[str], references: References, *, lower_case: bool = False, categories: Sequence[str] = ()
) -> dict[str, Metric]:
    """Return fresh metrics for the names, in their order, told apart by the categories if there are any."""
    return {name: told_apart(_maker(name, references, lower_case), categories) for name in names}


def _maker(name: str, references: References, lower_case: bool) -> Callable[[], Metric]:
    if name in _SETS:
        return partial(_SETS[name], references, lower_case=lower_case)
    return partial(MeanScore, name, _SCORES[name], references, lower_case=lower_case)
