"""The small change of every recipe: an example around a prefix and a suffix, and text taken as it is."""

from collections.abc import Mapping

from finetune.types import Example, Prediction, Sample


def say(sample: Sample, prefix: str, suffix: str = "", *, notes: Mapping[str, int] | None = None) -> Example:
    """Return the sample's images with these words; without a suffix it is a prompt."""
    return Example(
        sample_id=sample.sample_id, images=sample.images, prefix=prefix, suffix=suffix, notes=dict(notes or {})
    )


def plain_text(text: str, sample: Sample) -> Prediction:
    """Return generated text as the prediction, nothing read out of it."""
    return Prediction(sample_id=sample.sample_id, text=text)
