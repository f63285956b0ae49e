"""What to say when a sample lacks what a task needs: what it does carry, and which recipe would fit that."""

from finetune.types import BadSampleError, Sample


def missing_annotation(sample: Sample, field_name: str) -> BadSampleError:
    """Return the error for a sample without `field_name`, such as "captions"."""
    offers = _offers(sample)
    fitting = ", ".join(f"{what} (recipe={recipe})" for what, recipe in offers.items())
    offered = f"it has {fitting}" if offers else "it has no annotation that a recipe reads"
    return BadSampleError(
        origin=sample.origin,
        sample_id=sample.sample_id,
        field_name=field_name,
        code=f"missing-{field_name}",
        message=f"the sample has no {field_name}; {offered}",
    )


def _offers(sample: Sample) -> dict[str, str]:
    offers = {
        "captions": ("captioning", bool(sample.captions)),
        "question and answers": ("vqa", sample.question is not None and bool(sample.answers)),
        "choices": ("multiple_choice", bool(sample.choices) and sample.question is not None and bool(sample.answers)),
        "text": ("ocr", sample.text is not None),
        "boxes": ("detection", sample.instances is not None),
        "masks": ("segmentation", any(instance.mask is not None for instance in sample.instances or ())),
        "prefix and suffix": ("verbatim", sample.prefix is not None and sample.suffix is not None),
    }
    return {what: recipe for what, (recipe, is_there) in offers.items() if is_there}
