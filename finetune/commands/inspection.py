"""`finetune inspect`: what is in a split, before a GPU hour is spent on it. No weights are read."""

from pathlib import Path

from finetune.config.commands import InspectCommand
from finetune.config.schema import RunConfig
from finetune.data.encode import SampleEncoder
from finetune.data.mixture import Ingredient
from finetune.inspection.page import write_page
from finetune.inspection.statistics import Inspection, inspect_split
from finetune.reporting.progress import progress_for

_MOST_PROBLEMS = 10


def inspect(config: RunConfig, page: Path, command: InspectCommand, ingredients: tuple[Ingredient, ...]) -> None:
    """Read every sample as training would; write a page for each ingredient and print what matters.

    Args:
        page: The page's file; the parts of a mixture put their names behind its own.
    """
    inputs = config.model.read_inputs()
    encoder = SampleEncoder(
        tokenizer=inputs.tokenizer,
        image_size=inputs.image_size,
        num_image_tokens=inputs.num_image_tokens,
        data=config.data,
    )
    progress = progress_for(is_main=True)
    for ingredient in ingredients:
        inspection = inspect_split(
            ingredient.source,
            ingredient.recipe,
            encoder,
            num_shown=command.num_shown,
            progress=progress,
            seed=config.seed,
        )
        split = command.split or "the training split"
        own_page = page.with_stem(f"{page.stem}-{ingredient.name}") if ingredient.name else page
        write_page(inspection, own_page, title=f"{ingredient.name or type(config.dataset).__name__}, {split}")
        print("\n".join([*_summary(inspection), f"page: {own_page}"]), flush=True)
    progress.close()


def _summary(inspection: Inspection) -> list[str]:
    bad = [f"bad: {skip.to_error()}" for skip in inspection.skips[:_MOST_PROBLEMS]]
    if len(inspection.skips) > _MOST_PROBLEMS:
        bad.append(f"... and {len(inspection.skips) - _MOST_PROBLEMS} more; the page lists them all")
    notes = [f"{count:,} x {note}" for note, count in inspection.notes.items()]
    return [
        f"{inspection.num_samples:,} samples: {inspection.num_usable:,} usable, {len(inspection.skips):,} bad, "
        f"{inspection.num_too_long:,} too long; {inspection.num_boxes:,} boxes of {len(inspection.labels):,} labels",
        *notes,
        *bad,
    ]
