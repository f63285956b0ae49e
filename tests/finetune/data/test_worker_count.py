from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from finetune.data import worker_count as module
from finetune.data.encode import SampleEncoder
from finetune.data.mixture import Ingredient
from finetune.data.worker_count import choose_num_workers, num_cores, seconds_per_image, worker_count
from finetune.settings import DataSettings
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, ImagePixels, Sample
from recipes.captioning import Captioning

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Rows:
    length: int
    is_bad: bool = False
    block_size: int | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if self.is_bad:
            raise BadSampleError(origin="rows", sample_id="", field_name="row", code="bad", message="torn")
        image = ImagePixels(name="x", pixels=np.zeros((10, 12, 3), dtype=np.uint8))
        return Sample(sample_id=str(index), origin="rows", images=(image, image), captions=("a",))


def rows(length: int, **how: bool) -> Ingredient:
    return Ingredient(name="", source=Rows(length=length, **how), recipe=Captioning())


@pytest.fixture(scope="module")
def encoder(repository) -> SampleEncoder:
    tokenizer = Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")
    return SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=DataSettings())


@pytest.mark.parametrize(
    ("milliseconds", "tokens", "samples", "cores", "ranks", "expected"),
    [
        # 312.5 images a second, of which one process loads 222.
        (4.5, 256, 100_000, 16, 1, 2),
        (4.5, 256, 100_000, 16, 8, 1),
        (45.0, 256, 100_000, 16, 1, 15),
        (45.0, 256, 100_000, 16, 4, 3),
        # The larger the image, the fewer of them a GPU reads.
        (45.0, 4096, 100_000, 16, 1, 1),
        # A process beside a GPU, even where there is no core for it.
        (4.5, 256, 100_000, 1, 1, 1),
        # Starting one takes longer than loading all there is.
        (4.5, 256, 1000, 16, 1, 0),
        (0.0, 256, 1000, 16, 1, 0),
    ],
)
def test_as_many_processes_as_a_gpu_could_need_and_the_cores_allow(
    milliseconds, tokens, samples, cores, ranks, expected
):
    chosen = choose_num_workers(
        seconds_per_image=milliseconds / 1000,
        num_image_tokens=tokens,
        num_samples=samples,
        num_cores=cores,
        num_ranks=ranks,
    )
    assert chosen.num_workers == expected
    assert f"{milliseconds:.1f} ms" in chosen.reason


def test_a_number_in_the_settings_is_taken(encoder):
    settled = replace(encoder, data=replace(encoder.data, num_workers=5))
    for device in (CPU, GPU):
        assert worker_count(settled, [rows(9)], num_samples=9, device=device).num_workers == 5


def test_a_model_on_the_cpu_keeps_its_cores(encoder):
    chosen = worker_count(encoder, [rows(9)], num_samples=10**9, device=CPU)
    assert (chosen.num_workers, "on a CPU" in chosen.reason) == (0, True)


def test_beside_a_gpu_it_is_measured(encoder, monkeypatch):
    monkeypatch.setattr(module, "seconds_per_image", lambda encoder, ingredients: 1.0)
    monkeypatch.setattr(module, "num_cores", lambda: 12)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert worker_count(encoder, [rows(9)], num_samples=100, device=GPU).num_workers == 2


def test_measuring_leaves_threads_as_they_were_and_passes_over_bad_samples(encoder):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert 0 < seconds_per_image(encoder, [rows(4), rows(3, is_bad=True)]) < 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert seconds_per_image(encoder, [rows(3, is_bad=True)]) == 0.0
    assert num_cores() >= 1
