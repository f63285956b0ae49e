from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from finetune.data.encode import SampleEncoder
from finetune.data.images import content_key
from finetune.data.missing_images import MissingImages, rows_drawn
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.data.shards import ShardStore
from finetune.settings import DataSettings
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, ImageBytes, ImagePixels, Sample
from recipes.captioning import Captioning


def scene(level: int) -> ImagePixels:
    return ImagePixels(name=str(level), pixels=np.full((10, 12, 3), level, dtype=np.uint8))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Row n shows images n and n + 1; row 2 cannot be read, and the second image of row 3 is broken."""

    length: int = 6
    block_size: int | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise BadSampleError(origin="rows:2", sample_id="", field_name="row", code="bad-row", message="torn")
        second = ImageBytes(name="x", data=b"") if index == 3 else scene(index + 1)
        return Sample(sample_id=f"s{index}", origin="rows", images=(scene(index), second), captions=("a",))


def ingredient(name="a", length=6, weight=1.0) -> Ingredient:
    return Ingredient(name=name, source=Rows(length=length), recipe=Captioning(), weight=weight)


@pytest.fixture(scope="module")
def encoder(repository) -> SampleEncoder:
    tokenizer = Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")
    return SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=DataSettings())


@pytest.fixture
def store(tmp_path) -> ShardStore:
    store = ShardStore(tmp_path, "features", shape=(2,), dtype=torch.uint8, about={})
    store.put(content_key(scene(1)), torch.zeros(2, dtype=torch.uint8), {})
    return store


def test_what_a_cache_has_is_not_decoded_and_what_cannot_be_used_is_left_out(encoder, store):
    missing = MissingImages(ingredient=ingredient(), rows=[0, 1, 2, 3, 5], encoder=encoder, store=store)
    found = [[int(image.pixels_u8[0, 0, 0]) for image in missing[place]] for place in range(5)]
    assert found == [[0], [2], [], [3], [5, 6]]


def test_only_the_images_that_are_shown_are_made_ready(encoder, store):
    shown_once = replace(encoder, data=replace(encoder.data, num_images=1))
    missing = MissingImages(ingredient=ingredient(), rows=range(6), encoder=shown_once, store=store)
    assert [len(missing[place]) for place in range(6)] == [1, 0, 0, 1, 1, 1]


def test_a_short_run_needs_the_rows_that_it_draws_and_a_long_one_all():
    training_set = TrainingSet(ingredients=(ingredient("a", 6), ingredient("b", 40, weight=3.0)), seed=3)
    rows = rows_drawn(training_set, 10)
    draws = [training_set.draw(position) for position in range(10)]
    for name in ("a", "b"):
        assert rows[name] == sorted({draw.index for draw in draws if draw.ingredient.name == name})
    assert rows_drawn(training_set, 46) == {"a": range(6), "b": range(40)}
    assert rows_drawn(training_set, 0) == {"a": [], "b": []}
