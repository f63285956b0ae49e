"""CIDEr-D, BLEU and ROUGE-L of captions, through the official COCO caption scorers."""

from collections.abc import Sequence

from finetune.evaluate.metrics.mean import References
from finetune.evaluate.metrics.ptb import tokenize
from finetune.evaluate.metrics.ptb_java import is_java_available, tokenize_with_java
from finetune.evaluate.metrics.quiet import silence
from finetune.types import Prediction, Sample

_NO_MATCH = 1e-7
_NAMES = ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "ptb_java")


class CaptionScores:
    """CIDEr, BLEU-1..4 and ROUGE-L over all captions, none defined for one alone; published numbers are times 100.

    Both sides pass the Penn Treebank tokeniser: the official one, where Java runs, otherwise our own. The value
    `ptb_java` says which: 1 for Java, 0 for ours. CIDEr weighs words by how few images' references use them, so it is 0
    for a single image. Samples without a reference are left out.

    Args:
        references: Reads the references out of a sample.
        use_java: None: where it runs.
    """

    def __init__(self, references: References, *, use_java: bool | None = None) -> None:
        self._references = references
        self._use_java = use_java
        self._captions: dict[str, list[str]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the official scores' names and `ptb_java`."""
        return _NAMES

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction; nothing is defined for it alone."""
        references = list(self._references(sample))
        if references:
            self._captions[sample.sample_id] = [prediction.text, *references]
        return None

    def compute(self) -> dict[str, float]:
        """Return the values by name; nothing where no sample had a reference."""
        if not self._captions:
            return {}
        use_java = is_java_available() if self._use_java is None else self._use_java
        # Sums of floats depend on order; the order of updates must not.
        rows = [self._captions[sample_id] for sample_id in sorted(self._captions)]
        tokenized = _tokenize_all(rows, use_java=use_java)
        truth = {index: row[1:] for index, row in enumerate(tokenized)}
        predicted = {index: row[:1] for index, row in enumerate(tokenized)}
        return {**_official_scores(truth, predicted), "ptb_java": float(use_java)}


def _tokenize_all(rows: Sequence[Sequence[str]], *, use_java: bool) -> list[list[str]]:
    flat = [text for row in rows for text in row]
    tokens = iter(tokenize_with_java(flat) if use_java else map(tokenize, flat))
    return [[next(tokens) for _ in row] for row in rows]


def _official_scores(truth: dict[int, list[str]], predicted: dict[int, list[str]]) -> dict[str, float]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    with silence():
        bleu, _ = Bleu(4).compute_score(truth, predicted, verbose=0)
        # Its scorer takes the maximum over all words, and fails where there are none.
        has_words = any(text for texts in truth.values() for text in texts)
        cider = Cider().compute_score(truth, predicted)[0] if has_words else 0.0
        rouge, _ = Rouge().compute_score(truth, predicted)
    # Its scorer adds 1e-15 to every count, so that a product without a match is not 0, as it should be.
    scores = {f"BLEU-{order}": 0.0 if value < _NO_MATCH else float(value) for order, value in enumerate(bleu, start=1)}
    return {"CIDEr": float(cider), **scores, "ROUGE-L": float(rouge)}
