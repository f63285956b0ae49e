"""Error rates of music written in **kern: by character, by symbol and by line."""

import re
from collections.abc import Sequence

from finetune.evaluate.metrics.mean import References
from finetune.types import Prediction, Sample

_SEPARATORS = re.compile(r"([\n\t])")


class KernErrorRates:
    """Edits (insertions, deletions, substitutions) over the length of the reference, summed over all samples.

    CER counts characters, SER symbols, between which a line's end and a tab are symbols of their own, and LER whole
    lines. Rates above 1 are possible. Samples without a reference are left out.

    Args:
        references: Reads the references out of a sample; the first one counts.

    Source:
        antoniorv6/SMT, eval_functions.py, whose rates are per cent.
    """

    def __init__(self, references: References) -> None:
        self._references = references
        self._edits = {"CER": 0, "SER": 0, "LER": 0}
        self._lengths = {"CER": 0, "SER": 0, "LER": 0}

    def names(self) -> tuple[str, ...]:
        """Return CER, SER and LER."""
        return tuple(self._edits)

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return its symbol error rate."""
        references = self._references(sample)
        if not references:
            return None
        self._add("CER", prediction.text, references[0])
        self._add("LER", prediction.text.split("\n"), references[0].split("\n"))
        return self._add("SER", _symbols(prediction.text), _symbols(references[0]))

    def compute(self) -> dict[str, float]:
        """Return the three rates; nothing where no sample had a reference."""
        return {name: self._edits[name] / length for name, length in self._lengths.items() if length}

    def _add(self, name: str, units: Sequence[str], reference: Sequence[str]) -> float:
        from rapidfuzz.distance import Levenshtein

        edits, length = Levenshtein.distance(units, reference), max(1, len(reference))
        self._edits[name] += edits
        self._lengths[name] += length
        return edits / length


def _symbols(text: str) -> list[str]:
    return _SEPARATORS.sub(r" \1 ", text).split(" ")
