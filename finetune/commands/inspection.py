"""`finetune inspect`: what is in a split, before a GPU hour is spent on it. No weights are read."""

from pathlib import Path

from finetune.config.commands import InspectCommand
from finetune.config.schema import RunConfig
from finetune.data.encode import SampleEncoder
from finetune.data.mixture import Ingredient, Mixture
from finetune.inspection.page import write_page
from finetune.inspection.publication import Publication, check_publication
from finetune.inspection.reconstruction import Reconstruction
from finetune.inspection.statistics import Inspection, inspect_split
from finetune.published import Published
from finetune.reporting.progress import progress_for
from finetune.tokens.codec_record import UsesCodec, record_of
from finetune.types import Dataset

_MOST_PROBLEMS = 10


def inspect(config: RunConfig, page: Path, command: InspectCommand, ingredients: tuple[Ingredient, ...]) -> None:
    """Read every sample as training would; write a page for each ingredient and print what matters.

    Args:
        page: The page's file; the parts of a mixture put their names behind its own.
    """
    publications = [_publication_of(config, ingredient) for ingredient in ingredients]
    # Before all else: it needs no model's tokenizer, and reading every sample takes a while.
    for line in [line for one in publications if one is not None for line in one.lines()]:
        print(line, flush=True)
    inputs = config.model.read_inputs()
    encoder = SampleEncoder(
        tokenizer=inputs.tokenizer,
        image_size=inputs.image_size,
        num_image_tokens=inputs.num_image_tokens,
        data=config.data,
    )
    progress = progress_for(is_main=True)
    for ingredient, publication in zip(ingredients, publications, strict=True):
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
        title = f"{ingredient.name or type(config.dataset).__name__}, {split}"
        write_page(inspection, own_page, title=title, codec=_codec_of(ingredient), publication=publication)
        print("\n".join([*_summary(inspection), f"page: {own_page}"]), flush=True)
    progress.close()


def _publication_of(config: RunConfig, ingredient: Ingredient) -> Publication | None:
    """Hold the ingredient's data set to its card, if somebody published it."""
    parts = config.recipe.parts if isinstance(config.recipe, Mixture) else {}
    own = parts[ingredient.name].dataset if ingredient.name in parts else None
    dataset: Dataset = config.dataset if own is None else own
    return check_publication(dataset, dataset.card) if isinstance(dataset, Published) else None


def _codec_of(ingredient: Ingredient) -> str:
    recipe = ingredient.recipe
    return str(record_of(recipe.codec())) if isinstance(recipe, UsesCodec) else ""


def _summary(inspection: Inspection) -> list[str]:
    bad = [f"bad: {skip.to_error()}" for skip in inspection.skips[:_MOST_PROBLEMS]]
    if len(inspection.skips) > _MOST_PROBLEMS:
        bad.append(f"... and {len(inspection.skips) - _MOST_PROBLEMS} more; the page lists them all")
    notes = [f"{count:,} x {note}" for note, count in inspection.notes.items()]
    return [
        f"{inspection.num_samples:,} samples: {inspection.num_usable:,} usable, {len(inspection.skips):,} bad, "
        f"{inspection.num_too_long:,} too long; {inspection.num_boxes:,} boxes of {len(inspection.labels):,} labels",
        *_told_of_masks(inspection.reconstruction),
        *notes,
        *bad,
    ]


def _told_of_masks(reconstruction: Reconstruction | None) -> list[str]:
    if reconstruction is None:
        return []
    return [
        f"{reconstruction.num_masks:,} masks said in sixteen tokens and drawn again: mean IoU "
        f"{reconstruction.mean:.3f}, median {reconstruction.median:.3f}, "
        f"{100 * reconstruction.share_below_half:.1f} % below 0.5"
    ]
