"""Examples with two images, or with the frames of a video: the tokens of all images, in order, before the text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from finetune.data.packing import Batch, pack
from finetune.evaluate.generate import generate
from finetune.model.forward import all_states, vocabulary_logits
from finetune.types import TokenizedExample

EOS, BOS, NEWLINE, FIRST_WORD, VOCABULARY_SIZE, IMAGE_TOKEN, IMAGE_TOKENS, IMAGE_SIZE = 1, 2, 4, 5, 40, 40, 4, 28


@dataclass(frozen=True)
class Shown:
    """An example with its own images."""

    example: TokenizedExample
    pixels: Tensor


def shown(num_images: int, *, num_suffix: int = 4) -> Shown:
    """Make an example with so many random images and random words, without EOS where it has no suffix."""
    rng = np.random.default_rng(num_images)
    prefix, suffix = rng.integers(FIRST_WORD, VOCABULARY_SIZE, 5), rng.integers(FIRST_WORD, VOCABULARY_SIZE, num_suffix)
    before = [*[IMAGE_TOKEN] * (IMAGE_TOKENS * num_images), BOS, *prefix, NEWLINE]
    after = [*suffix, EOS] if num_suffix else []
    example = TokenizedExample(
        sample_id=f"{num_images} images",
        input_ids=np.array([*before, *after], dtype=np.int64),
        is_suffix=np.arange(len(before) + len(after)) >= len(before),
        num_image_tokens=IMAGE_TOKENS * num_images,
    )
    pixels = rng.integers(0, 256, (num_images, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    return Shown(example, torch.from_numpy(pixels))


def batch_of(examples: Sequence[Shown], row_tokens: int | None = None) -> Batch:
    pixels = torch.cat([one.pixels for one in examples])
    return pack([one.example for one in examples], pixels, image_token_id=IMAGE_TOKEN, row_tokens=row_tokens)


def our_logits(model: nn.Module, batch: Batch) -> list[Tensor]:
    logits = vocabulary_logits(model, all_states(model, batch), VOCABULARY_SIZE)
    return [logits[batch.example_ids == example] for example in range(batch.num_examples)]


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def model(request: pytest.FixtureRequest, small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(request.param)


@pytest.mark.parametrize("row_tokens", [None, 100])
@torch.no_grad()
def test_logits_equal_those_of_transformers_in_batches_that_mix_numbers_of_images(
    model: nn.Module, row_tokens: int | None
) -> None:
    examples = [shown(num_images) for num_images in (2, 1, 16, 3, 8)]
    for one, ours in zip(examples, our_logits(model, batch_of(examples, row_tokens)), strict=True):
        theirs = model(
            input_ids=torch.from_numpy(one.example.input_ids)[None],
            pixel_values=one.pixels / 127.5 - 1,
            token_type_ids=torch.from_numpy(one.example.is_suffix)[None].long(),
            attention_mask=torch.ones(1, len(one.example.input_ids), dtype=torch.long),
        ).logits[0, :, :VOCABULARY_SIZE]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_order_of_images_matters(model: nn.Module) -> None:
    one = shown(2)
    swapped = Shown(one.example, one.pixels.flip(0))
    (ours,), (others,) = our_logits(model, batch_of([one])), our_logits(model, batch_of([swapped]))
    assert (ours - others).abs().max() > 0.01


def test_generation_does_not_depend_on_how_many_images_the_neighbours_have(model: nn.Module) -> None:
    prefixes = [shown(num_images, num_suffix=0) for num_images in (1, 16, 2)]

    def said(examples: Sequence[Shown]) -> list[list[int]]:
        return generate(
            model, batch_of(examples), max_new_tokens=6, num_beams=1, eos_id=-1, vocabulary_size=VOCABULARY_SIZE
        )

    together = said(prefixes)
    assert together == [said([one])[0] for one in prefixes]
    assert len({tuple(ids) for ids in together}) == len(prefixes)
