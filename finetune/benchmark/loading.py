"""The loader by itself: photographs as JPEG in, batches as the training step reads them out."""

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
from PIL import Image

from finetune.benchmark.choices import Workload
from finetune.benchmark.dimensions import dimensions_of
from finetune.data.encode import SampleEncoder
from finetune.data.loader import TrainingLoader
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.model.choices import TINY_TOKENIZER
from finetune.settings import DataSettings, Resize
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import Example, ImageBytes, Metric, Prediction, Sample

# As a camera's preview: 640 x 480, quality 90, about 60 KB.
_SIZE, _QUALITY = (480, 640), 90
_NUM_PHOTOGRAPHS = 64
_NUM_WORKERS = (0, 1, 2)
_PREFIX, _SUFFIX = "caption en", "a drawing of nothing in particular"
# What counts begins after the loader processes have started.
_WARMUP_STEPS = 4


@dataclass(frozen=True, slots=True)
class Photographs:
    """A source of pictures that look like photographs to a JPEG decoder: smooth, with some noise."""

    files: tuple[bytes, ...]

    @property
    def block_size(self) -> None:
        """Every row can be had at once."""
        return

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        name = f"photograph-{index}"
        return Sample(sample_id=name, origin=name, images=(ImageBytes(name=name, data=self.files[index]),))


@dataclass(frozen=True, slots=True)
class Caption:
    """A recipe that says the same of every picture."""

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Return the example."""
        return Example(sample_id=sample.sample_id, images=sample.images, prefix=_PREFIX, suffix=_SUFFIX)

    def ask(self, sample: Sample) -> Example:
        """Return its prefix."""
        return Example(sample_id=sample.sample_id, images=sample.images, prefix=_PREFIX, suffix="")

    def selection(self) -> Callable[[Sample], bool] | None:
        """All take part."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return what is said."""
        return _SUFFIX

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Return the text."""
        return Prediction(sample_id=sample.sample_id, text=text)

    def metrics(self) -> Mapping[str, Metric]:
        """There is nothing to score."""
        return {}


def measure_loading(
    workload: Workload, num_steps: int, say: Callable[[str], None], num_workers: Sequence[int] = _NUM_WORKERS
) -> dict[str, Any]:
    """Load so many windows in each way of resizing, with several numbers of loader processes, and as peers do."""
    rows = []
    for resize in Resize:
        for number in num_workers:
            say(f"loading: resize={resize.name}, {number} loader processes")
            rows.append({"resize": resize.name, "num_workers": number, **_rates(workload, resize, number, num_steps)})
    say("loading: transformers' processor")
    rows.append({"resize": "transformers' PIL processor", "num_workers": 0, **_peers_rates(workload, num_steps)})
    return {
        "kind": "loader",
        "title": f"loader, {workload.image_size} px",
        "workload": asdict(workload),
        "images": {"size": _SIZE, "jpeg_quality": _QUALITY, "mean_bytes": float(np.mean([*map(len, photographs())]))},
        "rows": rows,
    }


@cache
def photographs() -> tuple[bytes, ...]:
    """Draw the pictures, from a fixed seed."""
    rng = np.random.default_rng(0)
    return tuple(_photograph(rng) for _ in range(_NUM_PHOTOGRAPHS))


def _photograph(rng: np.random.Generator) -> bytes:
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(_SIZE[::-1], Image.Resampling.BICUBIC), dtype=np.float64)
    noisy = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _rates(workload: Workload, resize: Resize, num_workers: int, num_steps: int) -> dict[str, float | None]:
    dimensions = dimensions_of(workload.size, workload.generation)
    encoder = SampleEncoder(
        tokenizer=Tokenizer.from_folder(TINY_TOKENIZER),
        image_size=workload.image_size,
        num_image_tokens=dimensions.num_image_tokens(workload.image_size),
        data=DataSettings(resize=resize, num_workers=num_workers),
    )
    ingredient = Ingredient(name="", source=Photographs(photographs()), recipe=Caption())
    loader = TrainingLoader(
        TrainingSet(ingredients=(ingredient,), seed=0),
        encoder,
        seed=0,
        global_batch_size=workload.batch,
        micro_batch_size=workload.batch,
        num_workers=num_workers,
    )
    return _timed(loader.windows(0, _WARMUP_STEPS + num_steps), num_steps * workload.batch, num_workers)


def _peers_rates(workload: Workload, num_steps: int) -> dict[str, float | None]:
    """Do what a collate function does beside transformers: PIL decodes, the processor resizes and normalises."""
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    process = SiglipImageProcessorPil(size={"height": workload.image_size, "width": workload.image_size})
    files = cycle(photographs())

    def windows() -> Iterator[object]:
        for _ in range(_WARMUP_STEPS + num_steps):
            images = [Image.open(io.BytesIO(next(files))).convert("RGB") for _ in range(workload.batch)]
            yield process(images=images, return_tensors="pt")

    return _timed(windows(), num_steps * workload.batch, num_workers=0)


def _timed(windows: Iterator[object], num_images: int, num_workers: int) -> dict[str, float | None]:
    """Go through windows against the clock, the first ones left out."""
    for _ in range(_WARMUP_STEPS):
        next(windows)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in windows:
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "images_per_second": num_images / wall,
        # The processor seconds of loader processes are theirs.
        "images_per_cpu_second": num_images / cpu if num_workers == 0 else None,
    }
