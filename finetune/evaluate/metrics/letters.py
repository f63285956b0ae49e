"""How often the letter of the right option is given: `The answer is B.`"""

import re
from collections.abc import Sequence
from functools import partial

from finetune.evaluate.metrics.categories import told_apart
from finetune.evaluate.metrics.mean import MeanScore, References
from finetune.types import Metric

_ANSWER = re.compile(r"the answer is ([a-z])\.")


def letter_metrics(references: References, categories: Sequence[str] = ()) -> dict[str, Metric]:
    """Return fresh metrics: `accuracy`, and `parsefail`, the share of texts that give no letter.

    Args:
        references: Reads the truth out of a sample, in the same words.
        categories: What scores are told apart by and averaged over.

    Source:
        big_vision evaluators/proj/paligemma/transfers/science_qa.py (0127fb6).
    """
    scores = {"accuracy": letter_match, "parsefail": letter_lack}
    return {name: told_apart(partial(MeanScore, name, score, references), categories) for name, score in scores.items()}


def letter_match(text: str, references: Sequence[str]) -> float:
    """Return 1 if the text gives the letter of a reference, else 0."""
    letter = read_letter(text)
    return float(letter is not None and letter in map(read_letter, references))


def letter_lack(text: str, references: Sequence[str]) -> float:
    """Return 1 if the text gives no letter, else 0, whatever the references are."""
    return float(read_letter(text) is None)


def read_letter(text: str) -> str | None:
    """Return the letter, in lower case, that the text begins to give; what follows the full stop is not read."""
    match = _ANSWER.match(text.lower())
    return match[1] if match else None
