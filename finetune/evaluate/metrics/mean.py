"""A score that each sample has by itself, averaged."""

from collections.abc import Callable, Sequence

from finetune.types import Prediction, Sample

Score = Callable[[str, Sequence[str]], float]
References = Callable[[Sample], Sequence[str]]


class MeanScore:
    """Mean over samples of score(text, references). Samples without a reference are left out.

    Args:
        name: What the value is called.
        score: Compares a text with its references, of which there is at least one.
        references: Reads the references out of a sample.
        lower_case: Whether case is ignored on both sides.
    """

    def __init__(self, name: str, score: Score, references: References, *, lower_case: bool = False) -> None:
        self._name = name
        self._score = score
        self._references = references
        self._lower_case = lower_case
        self._values: list[float] = []

    def names(self) -> tuple[str, ...]:
        """Return the one name."""
        return (self._name,)

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return its score."""
        text, references = prediction.text, list(self._references(sample))
        if not references:
            return None
        if self._lower_case:
            text, references = text.lower(), [reference.lower() for reference in references]
        self._values.append(self._score(text, references))
        return self._values[-1]

    def compute(self) -> dict[str, float]:
        """Return the mean by name; nothing where no sample had a reference."""
        return {self._name: sum(self._values) / len(self._values)} if self._values else {}
