"""What `finetune bench` can be asked to measure. Imports without torch."""

from dataclasses import dataclass
from enum import Enum

from finetune.settings import Precision

# Names on the command line; "3b" is no Python name.
BenchSize = Enum("BenchSize", {"tiny": "tiny", "reduced": "reduced", "3b": "3b"})


class BenchPart(Enum):
    """What is measured: the training step, the loader, generation, the questions to a new GPU, or all of it there."""

    training = "training"
    loader = "loader"
    generation = "generation"
    questions = "questions"
    gpu = "gpu"


class Method(Enum):
    """Adapters beside frozen weights, the same beside weights of four bits, or all weights."""

    lora = "lora"
    qlora = "qlora"
    full = "full"


class VariantName(Enum):
    """Who does the training step."""

    ours = "ours"
    ours_compiled = "ours_compiled"
    stock = "stock"
    stock_checkpointed = "stock_checkpointed"
    strong = "strong"


# Without what the compiler needs a minute or more for.
USUAL_VARIANTS = tuple(name for name in VariantName if name is not VariantName.ours_compiled)


class Sweep(Enum):
    """What grows from one measurement to the next."""

    batch = "batch"
    suffix = "suffix"
    image_size = "image_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One training step's work, the same for every variant.

    Args:
        size: `tiny`, `reduced` (few layers, the real vocabulary) or `3b` (the real dimensions).
        generation: 1 or 2, for PaliGemma 1 or 2.
        image_size: Side of the square image in pixels.
        precision: What matrix products are computed in, and frozen weights kept in.
        trained_in: What trained weights are kept in.
        batch: Examples in one step.
        prefix_tokens, suffix_tokens: Mean length of the texts, BOS and newline or EOS included.
        length_spread: Each length is drawn evenly from mean * (1 - spread) .. mean * (1 + spread).
        row_tokens: Our variant packs its examples into rows of so many tokens; None: one example a row.
        rank: Of the adapters.
        soft_cap: Of PaliGemma 2's attention, in all variants; None: none.
    """

    size: BenchSize
    generation: int
    image_size: int
    method: Method
    precision: Precision
    trained_in: Precision
    batch: int
    prefix_tokens: int
    suffix_tokens: int
    length_spread: float
    row_tokens: int | None
    rank: int
    soft_cap: float | None

    @property
    def title(self) -> str:
        """Say it in a few words, for tables."""
        return (
            f"PaliGemma {self.generation} {self.size.name}, {self.method.name} {self.precision.name}, "
            f"{self.image_size} px, batch {self.batch}, {self.prefix_tokens}+{self.suffix_tokens} text tokens"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure.

    Args:
        rounds: How often every variant has its turn.
        block_steps: Steps of one turn.
        warmup_steps: The most steps before that; fewer where two in a row take equally long.
        most_seconds: No round begins after so many, except the second; None: all of them.
    """

    rounds: int
    block_steps: int
    warmup_steps: int
    most_seconds: float | None = None
