import pytest
import torch

from finetune.benchmark.choices import BenchSize
from finetune.benchmark.dimensions import dimensions_of, smallest_image_size
from finetune.benchmark.model import build_model


def test_the_real_ones_have_the_weights_of_the_published_models() -> None:
    first, second = (dimensions_of(BenchSize["3b"], generation) for generation in (1, 2))
    assert (first.trunk_weights, second.trunk_weights) == (1_981_808_640, 2_024_275_968)
    assert first.vision_weights == 411_466_608
    assert first.rows == 257_216
    assert first.image_token_id == 257_152


def test_the_reduced_ones_keep_the_vocabulary_and_the_width_of_the_image_encoder() -> None:
    reduced = dimensions_of(BenchSize["reduced"], 1)
    assert (reduced.rows, reduced.vision_width, reduced.vision_layers) == (257_216, 1152, 4)
    assert (reduced.layers, reduced.width, reduced.intermediate, reduced.heads) == (4, 512, 4096, 8)


@pytest.mark.parametrize("generation", [1, 2])
def test_the_counts_are_those_of_the_modules(generation: int, workload_of) -> None:  # type: ignore[no-untyped-def]
    workload = workload_of(generation=generation)
    dimensions = dimensions_of(workload.size, generation)
    model = build_model(workload, dimensions, torch.device("cpu"))
    counted = {"vision": 0, "trunk": 0}
    for name, parameter in model.named_parameters():
        if "encoder.layers" in name:
            counted["vision"] += parameter.numel()
        elif "_proj" in name and "language_model" in name:
            counted["trunk"] += parameter.numel()
    assert counted == {"vision": dimensions.vision_weights, "trunk": dimensions.trunk_weights}


def test_image_tokens_follow_from_patches() -> None:
    dimensions = dimensions_of(BenchSize["3b"], 1)
    assert [dimensions.num_image_tokens(side) for side in (224, 448, 896)] == [256, 1024, 4096]
    assert smallest_image_size(BenchSize["reduced"]) == 224
