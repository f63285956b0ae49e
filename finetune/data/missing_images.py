"""The images of some samples that a cache does not have yet, made ready in loader processes."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.data.encode import SampleEncoder
from finetune.data.frames import shown_images
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.data.ready_images import ReadyImage
from finetune.data.shards import ShardStore
from finetune.types import BadSampleError


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingImages:
    """Random access, by number among `rows`, to the images of a sample that the store lacks.

    Args:
        rows: The rows of the ingredient's source to look at.
        encoder: Without a feature cache.
        store: Asked by the content of each image.
    """

    ingredient: Ingredient
    rows: Sequence[int]
    encoder: SampleEncoder
    store: ShardStore

    def __getitem__(self, key: int) -> list[ReadyImage]:
        """Return what is missing; nothing of a sample that cannot be used, which is told when it is drawn."""
        try:
            sample = self.ingredient.source[self.rows[key]]
        except BadSampleError:
            return []
        missing = []
        for reference in shown_images(sample, self.encoder.data.num_images):
            try:
                image = self.encoder.image_reader.read_missing(reference, self.store)
            except BadSampleError:
                continue
            if image is not None:
                missing.append(image)
        return missing


def rows_drawn(training_set: TrainingSet, num_positions: int) -> dict[str, Sequence[int]]:
    """Return which rows of each ingredient the first positions of a run show: all of them from one epoch on."""
    if num_positions >= len(training_set):
        return {one.name: range(len(one.source)) for one in training_set.ingredients}
    rows: dict[str, set[int]] = {one.name: set() for one in training_set.ingredients}
    for position in range(num_positions):
        draw = training_set.draw(position)
        rows[draw.ingredient.name].add(draw.index)
    return {name: sorted(drawn) for name, drawn in rows.items()}
