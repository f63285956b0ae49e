"""The settings of `finetune bench`, which has nothing to do with a run's."""

import dataclasses
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from finetune.benchmark.choices import (
    USUAL_VARIANTS,
    BenchPart,
    BenchSize,
    Effort,
    Method,
    Sweep,
    VariantName,
    Workload,
)
from finetune.benchmark.dimensions import dimensions_of, smallest_image_size
from finetune.settings import Precision, above, at_least, between

# One examination of a GPU, imports and the start of a machine left out.
_GPU_BUDGET_S = 450.0
# BOS, a word and the newline; a word and EOS.
_SHORTEST_PREFIX, _SHORTEST_SUFFIX = 3, 2


@dataclass(kw_only=True)
class BenchCommand:
    """What `finetune bench` measures, and how long.

    Args:
        part: The training step, the loader, generation, the questions to a new GPU, or all that on a GPU in one go.
        sweep: Let one thing grow, with part=training; None: measure one workload.
        points: What it grows through; empty: what suits the size.
        size: tiny; reduced, with few layers and the real vocabulary; or 3b, with the real dimensions.
        generation: 1 or 2, for PaliGemma 1 or 2.
        image_size: Side of the square image in pixels; None: 224, with size=tiny 28.
        method: Adapters, adapters beside weights in NF4, or all weights.
        precision: What matrix products are computed in, and frozen weights kept in: fp32 or bf16.
        trained_in: What trained weights are kept in; None: adapters in fp32, whole weights in `precision`.
        batch: Examples in one step; with part=generation, prefixes continued together.
        prefix_tokens: Mean length of the text before the suffix, BOS and newline included.
        suffix_tokens: Mean length of the suffix, EOS included; with part=generation, how many ids are generated.
        length_spread: Lengths are drawn evenly from mean * (1 - spread) to mean * (1 + spread).
        row_tokens: Our variant packs examples into rows of so many tokens; None: one example a row.
        rank: Of the adapters.
        soft_cap: Of PaliGemma 2's attention scores, in all variants; None: none.
        variants: Who is measured; ours_compiled, whose first step takes a minute or more, only if it is named.
        rounds: How often each variant has its turn.
        block_steps: Steps of a turn.
        warmup_steps: The most steps of a variant before it is timed.
        threads: Threads that torch computes with on the CPU; None: torch's own choice.
        budget_s: No section begins that would end after so many seconds; None: no limit, with part=gpu 450.
        to: The JSON file to write; None: one in runs/bench named after what is measured.
        report: A JSON file of an earlier benchmark to print as Markdown, instead of measuring.
    """

    part: BenchPart = BenchPart.training
    sweep: Sweep | None = None
    points: list[int] = field(default_factory=list)
    size: BenchSize = BenchSize.tiny
    generation: int = 1
    image_size: int | None = None
    method: Method = Method.lora
    precision: Precision = Precision.bf16
    trained_in: Precision | None = None
    batch: int = 4
    prefix_tokens: int = 16
    suffix_tokens: int = 32
    length_spread: float = 0.0
    row_tokens: int | None = None
    rank: int = 16
    soft_cap: float | None = 50.0
    variants: list[VariantName] = field(default_factory=lambda: list(USUAL_VARIANTS))
    rounds: int = 6
    block_steps: int = 5
    warmup_steps: int = 10
    threads: int | None = None
    budget_s: float | None = None
    to: str | None = None
    report: str | None = None

    def __post_init__(self) -> None:
        if self.generation not in (1, 2):
            raise ValueError(f"generation must be 1 or 2, got {self.generation}")
        for name in ("batch", "rank", "rounds", "block_steps"):
            at_least(name, getattr(self, name), 1)
        at_least("warmup_steps", self.warmup_steps, 2)
        between("length_spread", self.length_spread, 0, 0.9)
        for name, value in (("threads", self.threads), *(("points", point) for point in self.points)):
            if value is not None:
                at_least(name, value, 1)
        for name, limit in (("soft_cap", self.soft_cap), ("budget_s", self.budget_s)):
            if limit is not None:
                above(name, limit, 0)
        self._check_together()

    def workload(self) -> Workload:
        """Return what every variant has to do."""
        in_full = self.precision if self.method is Method.full else Precision.fp32
        return Workload(
            size=self.size,
            generation=self.generation,
            image_size=self._image_size,
            method=self.method,
            precision=self.precision,
            trained_in=in_full if self.trained_in is None else self.trained_in,
            batch=self.batch,
            prefix_tokens=self.prefix_tokens,
            suffix_tokens=self.suffix_tokens,
            length_spread=self.length_spread,
            row_tokens=self.row_tokens,
            rank=self.rank,
            soft_cap=self.soft_cap,
        )

    def effort(self) -> Effort:
        """Return how long to measure."""
        return Effort(rounds=self.rounds, block_steps=self.block_steps, warmup_steps=self.warmup_steps)

    def budget_seconds(self) -> float | None:
        """Return how much time there is."""
        return _GPU_BUDGET_S if self.budget_s is None and self.part is BenchPart.gpu else self.budget_s

    def file(self, runs: Path) -> Path:
        """Return where the results go."""
        if self.to is not None:
            return Path(self.to)
        what = self.part.name if self.sweep is None else f"sweep-{self.sweep.name}"
        words = (what, self.size.name, f"paligemma{self.generation}", self.method.name, self.precision.name)
        return runs / "bench" / f"{'-'.join(words)}-{self._image_size}px-batch{self.batch}.json"

    def check(self) -> None:
        """Refuse what cannot run here, before torch is imported.

        Raises:
            ValueError: Naming the setting and what to install.
        """
        if self.method is Method.qlora and importlib.util.find_spec("bitsandbytes") is None:
            raise ValueError(
                "method=qlora needs bitsandbytes, which is not installed; run `pip install 'paligemma-finetune[bnb]'` "
                "or choose method=lora"
            )

    @property
    def _image_size(self) -> int:
        return smallest_image_size(self.size) if self.image_size is None else self.image_size

    def _check_together(self) -> None:
        """Refuse values that are each right and together wrong."""
        if self.report is not None:
            changed = [
                one.name for one in dataclasses.fields(self) if one.name != "report" and not self._is_default(one)
            ]
            if changed:
                raise ValueError(
                    f"report prints what a file says and measures nothing: leave {', '.join(changed)} away"
                )
        if self.sweep is not None and self.part is not BenchPart.training:
            raise ValueError(f"sweep={self.sweep.name} needs part=training, got part={self.part.name}")
        if self.points and self.sweep is None:
            raise ValueError("points needs sweep: say what grows, as sweep=batch")
        if self.sweep is not None and len(set(self.points)) == 1:
            raise ValueError("points must be two or more that differ, so that there is a slope")
        if Precision.fp16 in (self.precision, self.trained_in):
            raise ValueError(
                "precision and trained_in must be fp32 or bf16; fp16 needs a loss scale, and no two choose it alike"
            )
        if self.precision is Precision.fp32 and self.trained_in is Precision.bf16:
            raise ValueError("precision=fp32 needs trained_in=fp32")
        if not self.variants or len(set(self.variants)) < len(self.variants):
            raise ValueError(f"variants must name each of {', '.join(one.name for one in VariantName)} once at most")
        self._check_lengths()

    def _check_lengths(self) -> None:
        """Refuse images that are no whole number of patches, texts without a word, and rows that are too short."""
        dimensions = dimensions_of(self.size, self.generation)
        image_sizes = self.points if self.sweep is Sweep.image_size else [self._image_size]
        for image_size in image_sizes:
            if image_size < dimensions.patch_size or image_size % dimensions.patch_size:
                raise ValueError(
                    f"image_size must be a multiple of the patch size {dimensions.patch_size}, got {image_size}"
                )
        for name, shortest in (("prefix_tokens", _SHORTEST_PREFIX), ("suffix_tokens", _SHORTEST_SUFFIX)):
            least = round(getattr(self, name) * (1 - self.length_spread))
            if least < shortest:
                raise ValueError(
                    f"{name} must be at least {shortest} after length_spread={self.length_spread:g}, got {least}"
                )
        longest_text = round((self.prefix_tokens + self.suffix_tokens) * (1 + self.length_spread)) + 1
        longest = dimensions.num_image_tokens(self._image_size) + longest_text
        if self.row_tokens is not None and self.row_tokens < longest:
            raise ValueError(f"row_tokens={self.row_tokens} must be at least {longest}, an image and the longest text")

    def _is_default(self, one: "dataclasses.Field[object]") -> bool:
        default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
        return bool(getattr(self, one.name) == default)
