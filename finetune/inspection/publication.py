"""What lies on disk, held to what a data set's authors published: how many rows each split has."""

from collections.abc import Iterator
from dataclasses import dataclass

from finetune.published import DataCard
from finetune.types import Dataset
from finetune.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCount:
    """One split of a card.

    Args:
        num_found: Rows on disk; None: it could not be opened.
        missing: Why not.
    """

    split: str
    num_published: int
    num_found: int | None
    missing: str = ""

    def verdict(self) -> str:
        """Say how the two compare."""
        if self.num_found is None:
            return f"not here: {self.missing}"
        if self.num_found == self.num_published:
            return "as published"
        kind = "fewer" if self.num_found < self.num_published else "more"
        return f"{abs(self.num_found - self.num_published):,} {kind} than published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A card and what was found of its splits."""

    card: DataCard
    splits: tuple[SplitCount, ...]

    def lines(self) -> Iterator[str]:
        """Yield what a person reads in a terminal."""
        yield f"{self.card.title}: {self.card.homepage} ({self.card.licence})"
        for one in self.splits:
            if one.num_found is None:
                yield f"  {one.split}: {one.verdict()}"
            elif one.num_found == one.num_published:
                yield f"  {one.split}: {counted(one.num_found, 'row')}, {one.verdict()}"
            else:
                yield f"  {one.split}: {counted(one.num_found, 'row')}: {one.verdict()} ({self.card.counts_source})"


def check_publication(dataset: Dataset, card: DataCard) -> Publication:
    """Open every split that the card names, and count its rows; no image is read."""
    return Publication(
        card=card, splits=tuple(_count(dataset, split, published) for split, published in card.counts.items())
    )


def _count(dataset: Dataset, split: str, num_published: int) -> SplitCount:
    try:
        found = len(dataset.open(split))
    except ValueError as error:
        # Where to get it stands above all splits.
        reason = str(error).removeprefix("dataset.root: ").partition(" (seen from ")[0]
        return SplitCount(split=split, num_published=num_published, num_found=None, missing=reason)
    return SplitCount(split=split, num_published=num_published, num_found=found)
