"""Character and word error rates."""

from collections.abc import Sequence

from finetune.evaluate.metrics.mean import References
from finetune.types import Prediction, Sample


class ErrorRates:
    """Edits (insertions, deletions, substitutions) over the length of the reference, summed over all samples.

    Characters are compared as they are, spaces included; words are what whitespace separates. Rates above 1 are
    possible. An empty reference counts as one character (one word) long, so that extra text there is an error. With
    several references the one with the fewest edits counts. Samples without a reference are left out.

    Args:
        references: Reads the references out of a sample.
    """

    def __init__(self, references: References) -> None:
        self._references = references
        self._edits = {"CER": 0, "WER": 0}
        self._lengths = {"CER": 0, "WER": 0}

    def names(self) -> tuple[str, ...]:
        """Return CER and WER."""
        return tuple(self._edits)

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return its character error rate."""
        references = self._references(sample)
        if not references:
            return None
        edits, length = _fewest_edits(prediction.text, references)
        self._add("CER", edits, length)
        self._add("WER", *_fewest_edits(prediction.text.split(), [reference.split() for reference in references]))
        return edits / length

    def compute(self) -> dict[str, float]:
        """Return CER and WER; nothing where no sample had a reference."""
        return {name: self._edits[name] / length for name, length in self._lengths.items() if length}

    def _add(self, name: str, edits: int, length: int) -> None:
        self._edits[name] += edits
        self._lengths[name] += length


def _fewest_edits(units: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return the edits to the nearest reference, and its length, at least 1."""
    from rapidfuzz.distance import Levenshtein

    return min((Levenshtein.distance(units, reference), max(1, len(reference))) for reference in references)
