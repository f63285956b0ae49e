"""Data that ranks cannot share evenly, for `two_ranks.py`: what two of them do with it, and what one process does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from finetune.data.encode import SampleEncoder
from finetune.data.loader import TrainingLoader
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.data.prefixes import Asked, PrefixLoader
from finetune.engine.distributed import Ranks
from finetune.evaluate.answers import EvaluationPart, Evaluator
from finetune.evaluate.runner import evaluate
from finetune.reporting.progress import NoProgress
from finetune.settings import DataSettings
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import ImagePixels, Metric, Prediction, Sample
from recipes.captioning import Captioning

NUM_EVALUATED = (1, 2, 7)
DATASET_SIZE = 7
GLOBAL_BATCH = 4
# Two epochs and a half: windows lie across their ends.
NUM_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Images with a caption each."""

    length: int
    block_size: int | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        image = ImagePixels(name="x", pixels=np.full((10, 12, 3), index, dtype=np.uint8))
        caption = " ".join(["one circle"] * (1 + index % 3))
        return Sample(sample_id=f"s{index}", origin=f"rows:{index}", images=(image,), captions=(caption,))


@dataclass
class Lengths:
    """Mean length of what was said, in an order of its own; remembers whom it saw."""

    seen: list[str] = field(default_factory=list)
    total: float = 0.0

    def names(self) -> tuple[str, ...]:
        return ("mean",)

    def update(self, prediction: Prediction, sample: Sample) -> float:
        self.seen.append(sample.sample_id)
        # Sums of thirds depend on their order.
        self.total += len(prediction.text) / 3
        return float(len(prediction.text))

    def compute(self) -> dict[str, float]:
        return {"mean": self.total / len(self.seen)}


@dataclass(frozen=True, kw_only=True)
class Described(Captioning):
    """Captions, scored by their length."""

    lengths: Lengths = field(default_factory=Lengths)

    def metrics(self) -> Mapping[str, Metric]:
        return {"lengths": self.lengths}


class Alone:
    """The only rank."""

    rank, world_size, is_main = 0, 1, True

    def gather(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def on_main(self, function: Any) -> Any:
        return function()


def new_encoder() -> SampleEncoder:
    tokenizer = Tokenizer.from_folder(Path("finetune/model/tiny_checkpoint"))
    return SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=DataSettings(max_text_tokens=40))


def said(asked: Iterator[Asked]) -> Iterator[tuple[Asked, list[int]]]:
    """Say something of another length to each, the last one first, as generating in batches may."""
    for one in reversed(list(asked)):
        yield one, [7] * (1 + one.index * 5 % 11)


def evaluated(ranks: Ranks | Alone, num_samples: int) -> dict[str, Any]:
    """Return what an evaluation of so many samples finds."""
    recipe = Described()
    prefixes = PrefixLoader(
        Rows(length=num_samples), recipe, new_encoder(), rank=ranks.rank, world_size=ranks.world_size
    )
    evaluator = Evaluator(
        generate_ids=said,
        decode_ids=lambda ids: "x" * len(ids),
        round_size=2,
        ranks=ranks,
        progress=NoProgress(),
        gallery_size=2,
    )
    result = evaluate(EvaluationPart(recipe=recipe, prefixes=prefixes), evaluator)
    return {"values": dict(result.values), "seen": recipe.lengths.seen, "num_samples": result.num_samples}


def windows(rank: int, world_size: int) -> TrainingLoader:
    """Return the windows of a data set that no number of them uses up."""
    return TrainingLoader(
        TrainingSet(ingredients=(Ingredient(name="", source=Rows(length=DATASET_SIZE), recipe=Captioning()),), seed=5),
        new_encoder(),
        seed=5,
        global_batch_size=GLOBAL_BATCH,
        micro_batch_size=1,
        rank=rank,
        world_size=world_size,
    )
