"""Counted against the tables of teraflops per image that were worked out by hand for the real models."""

import pytest

from finetune.benchmark.choices import BenchSize, Method
from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.flops import Lengths, step_flops

TEXTS = {224: (256, 12, 20), 448: (1024, 16, 48), 896: (4096, 16, 112)}


@pytest.mark.parametrize(
    ("generation", "image_size", "method", "teraflops"),
    [
        (1, 224, Method.lora, 2.58),
        (2, 224, Method.lora, 2.65),
        (1, 448, Method.lora, 10.21),
        (2, 448, Method.lora, 10.63),
        (1, 896, Method.lora, 46.9),
        (2, 896, Method.lora, 51.1),
        (1, 224, Method.full, 4.18),
        (2, 224, Method.full, 4.28),
        (1, 896, Method.full, 74.7),
        (2, 896, Method.full, 79.3),
    ],
)
def test_an_image_takes_as_many_operations_as_were_counted_by_hand(
    generation: int, image_size: int, method: Method, teraflops: float
) -> None:
    image, prefix, suffix = TEXTS[image_size]
    dimensions = dimensions_of(BenchSize["3b"], generation)
    found = step_flops(dimensions, [Lengths(image=image, prefix=prefix, suffix=suffix)], method) / 1e12
    assert found == pytest.approx(teraflops, rel=2e-3)


def test_examples_add_up_and_qlora_does_the_work_of_lora() -> None:
    dimensions = dimensions_of(BenchSize["tiny"], 1)
    one, other = Lengths(image=4, prefix=3, suffix=2), Lengths(image=4, prefix=9, suffix=5)
    both = step_flops(dimensions, [one, other], Method.qlora)
    assert both == sum(step_flops(dimensions, [each], Method.lora) for each in (one, other))
