"""What each part of the benchmark measures, and the plan for a GPU: everything that matters in under eight minutes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch

from finetune.benchmark.attention_routes import measure_attention
from finetune.benchmark.ceiling import Ceiling, measure_ceiling
from finetune.benchmark.choices import BenchSize, Effort, Method, Sweep, VariantName, Workload
from finetune.benchmark.generating import measure_generation
from finetune.benchmark.layers import measure_layers
from finetune.benchmark.loading import measure_loading
from finetune.benchmark.plan import Job
from finetune.benchmark.products import measure_products
from finetune.benchmark.sweep import points_of, sweep_section, workloads_of
from finetune.benchmark.training import measure_training
from finetune.settings import Precision

_ALL = tuple(VariantName)
_OURS_AND_STRONG = (VariantName.ours, VariantName.strong)
_OURS_AND_STOCK = (VariantName.ours, VariantName.stock, VariantName.strong)
_OURS_TWICE_AND_STOCK = (VariantName.ours, VariantName.ours_compiled, VariantName.stock)
# Of about 20 steps that each variant does, none takes half a second on a card of 800 TFLOP/s.
_GPU_EFFORT = Effort(rounds=4, block_steps=3, warmup_steps=6, most_seconds=20.0)
_GPU_GENERATIONS = Effort(rounds=2, block_steps=1, warmup_steps=2)
_GPU_BATCHES = (1, 4, 16)
_MOST_LOADED_STEPS = 8


@dataclass(frozen=True)
class Measurements:
    """The parts, on one device.

    Args:
        workload: What was asked for.
        say: Tells a person what goes on.
    """

    workload: Workload
    variants: tuple[VariantName, ...]
    effort: Effort
    device: torch.device
    say: Callable[[str], None]

    @cached_property
    def ceiling(self) -> Ceiling:
        """The fastest that this device multiplies, measured once, before anything else."""
        return measure_ceiling(self.workload.precision, self.device)

    def training(self, sweep: Sweep | None, points: Sequence[int]) -> list[Job]:
        """Return the job of `part=training`, of one workload or of a growing one."""
        workload = self.workload
        if sweep is None:
            return [self._train(workload, self.variants, self.effort, seconds=0)]
        points = points_of(sweep, workload.size, points)
        return [self._sweep(workload, sweep, points, self.variants, self.effort, seconds=0)]

    def loader(self) -> list[Job]:
        """Return the job of `part=loader`."""
        return [self._load(self.workload, seconds=0)]

    def generation(self) -> list[Job]:
        """Return the job of `part=generation`."""
        return [self._generate(self.workload, self.effort, seconds=0)]

    def questions(self) -> list[Job]:
        """Return the jobs of `part=questions`, in the order of their worth."""
        return [
            self._ask("matrix products", lambda: measure_products(self.workload, self.device), seconds=15),
            self._ask("attention", lambda: measure_attention(self.workload, self.device), seconds=60),
            self._ask("layers", lambda: measure_layers(self.workload, self.device), seconds=70),
        ]

    def gpu(self) -> list[Job]:
        """Return the jobs of `part=gpu`: the questions, and every bar that a GPU decides."""
        return list(self._gpu())

    def _gpu(self) -> Iterator[Job]:
        products, attention, layers = self.questions()
        at_224, at_448, at_896 = self._resolutions()
        yield products
        yield self._train(at_224, _ALL, _GPU_EFFORT, seconds=85)
        yield attention
        yield layers
        yield self._train(at_448, _OURS_TWICE_AND_STOCK, _GPU_EFFORT, seconds=60)
        full = replace(at_224, method=Method.full, trained_in=at_224.precision, batch=max(1, at_224.batch // 2))
        yield self._train(full, _OURS_AND_STOCK, _GPU_EFFORT, seconds=60)
        yield self._train(replace(at_224, generation=2), _OURS_AND_STOCK, _GPU_EFFORT, seconds=45)
        yield self._train(at_896, _OURS_AND_STOCK, _GPU_EFFORT, seconds=45)
        yield self._generate(replace(at_224, prefix_tokens=12, suffix_tokens=20), _GPU_GENERATIONS, seconds=30)
        yield self._sweep(at_224, Sweep.batch, _GPU_BATCHES, _OURS_AND_STRONG, _GPU_EFFORT, seconds=45)
        yield self._load(at_224, seconds=25)

    def _resolutions(self) -> list[Workload]:
        """Return LoRA at the smallest resolution, at twice and at four times that, with texts as they are there."""
        texts = ((12, 20, 32), (16, 48, 8), (16, 112, 2))
        is_tiny = self.workload.size is BenchSize["tiny"]
        lora = replace(self.workload, method=Method.lora, trained_in=Precision.fp32)
        return [
            replace(
                lora,
                image_size=self.workload.image_size * 2**doublings,
                batch=2 if is_tiny else batch,
                prefix_tokens=prefix,
                suffix_tokens=suffix,
            )
            for doublings, (prefix, suffix, batch) in enumerate(texts)
        ]

    def _train(self, workload: Workload, names: Sequence[VariantName], effort: Effort, *, seconds: float) -> Job:
        def measure() -> dict[str, Any]:
            return measure_training(workload, names, effort, self.ceiling, self.device, self.say)

        return Job(title=workload.title, seconds=seconds, measure=measure)

    def _sweep(
        self,
        workload: Workload,
        sweep: Sweep,
        points: Sequence[int],
        names: Sequence[VariantName],
        effort: Effort,
        *,
        seconds: float,
    ) -> Job:
        def measure() -> dict[str, Any]:
            sections = [
                measure_training(one, names, effort, self.ceiling, self.device, self.say)
                for one in workloads_of(workload, sweep, points)
            ]
            return sweep_section(workload, sweep, sections)

        return Job(title=f"{workload.title}: growing {sweep.name}", seconds=seconds, measure=measure)

    def _load(self, workload: Workload, *, seconds: float) -> Job:
        return Job(
            title=f"loader, {workload.image_size} px",
            seconds=seconds,
            measure=lambda: measure_loading(
                workload, min(_MOST_LOADED_STEPS, self.effort.rounds * self.effort.block_steps), self.say
            ),
        )

    def _generate(self, workload: Workload, effort: Effort, *, seconds: float) -> Job:
        return Job(
            title=f"generation: {workload.title}",
            seconds=seconds,
            measure=lambda: measure_generation(workload, effort, self.device, self.say),
        )

    def _ask(self, title: str, answer: Callable[[], Any], *, seconds: float) -> Job:
        def measure() -> dict[str, Any]:
            self.say(f"asking: {title}")
            return {
                "kind": "question",
                "title": title,
                "workload": asdict(self.workload),
                "ceiling": asdict(self.ceiling),
                "answer": answer(),
            }

        return Job(title=title, seconds=seconds, measure=measure)
