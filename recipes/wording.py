"""The small change of every recipe: an example around a prefix and a suffix, text taken as it is, and its truth."""

from collections.abc import Mapping, Sequence

from finetune.types import Example, Prediction, Sample


def say(sample: Sample, prefix: str, suffix: str = "", *, notes: Mapping[str, int] | None = None) -> Example:
    """Return the sample's images with these words; without a suffix it is a prefix."""
    return Example(
        sample_id=sample.sample_id, images=sample.images, prefix=prefix, suffix=suffix, notes=dict(notes or {})
    )


def ready_made(sample: Sample) -> dict[str, int]:
    """Return notes of the texts that stand in the data and override what the recipe's settings would have said."""
    texts = {"prefixes": sample.prefix, "suffixes": sample.suffix}
    return {f"ready-made {name} used as they are": 1 for name, text in texts.items() if text is not None}


def plain_text(text: str, sample: Sample) -> Prediction:
    """Return generated text as the prediction, nothing read out of it."""
    return Prediction(sample_id=sample.sample_id, text=text)


def truths(sample: Sample, annotated: Sequence[str]) -> Sequence[str]:
    """Return the texts that a prediction is held against: the ready-made suffix, or else the annotated ones."""
    return annotated if sample.suffix is None else (sample.suffix,)
