from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from finetune.data.encode import SampleEncoder
from finetune.data.prefixes import Asked, PrefixLoader, pack_prefixes
from finetune.data.skips import Skip
from finetune.settings import DataSettings, OnBadSample
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, ImageBytes, ImagePixels, Sample
from recipes.captioning import Captioning


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Images that show half their row's number. Rows in `bad` cannot be read, those in `broken` have a broken image."""

    length: int = 30
    block_size: int | None = None
    bad: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index in self.bad:
            raise BadSampleError(origin=f"rows:{index}", sample_id="", field_name="row", code="bad-row", message="torn")
        pixels = np.full((10, 12, 3), index // 2, dtype=np.uint8)
        image = ImageBytes(name="x", data=b"") if index in self.broken else ImagePixels(name="x", pixels=pixels)
        captions = ("a red circle",) if index % 2 else ()
        return Sample(sample_id=f"s{index}", origin=f"rows:{index}", images=(image,), captions=captions)


@pytest.fixture(scope="module")
def encoder(repository) -> SampleEncoder:
    tokenizer = Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")
    data = DataSettings(max_text_tokens=40, on_bad_sample=OnBadSample.skip)
    return SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=data)


def prefixes(encoder: SampleEncoder, source: Rows | None = None, **how) -> PrefixLoader:
    return PrefixLoader(source or Rows(), Captioning(), encoder, **how)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("num_samples", [None, 1, 17, 100])
def test_every_sample_is_asked_for_once_whatever_the_number_of_ranks(encoder, world_size, num_samples):
    seen, shares = [], []
    for rank in range(world_size):
        loader = prefixes(encoder, rank=rank, world_size=world_size, num_samples=num_samples)
        mine = [one.index for one in loader]
        assert mine == sorted(mine)
        assert loader.total == min(30, num_samples or 30)
        shares.append(len(mine))
        seen += mine
    assert sorted(seen) == list(range(loader.total))
    assert max(shares) == shares[0] == loader.largest_share
    assert max(shares) - min(shares) <= 8


def test_neighbours_stay_together_and_ranks_side_by_side(encoder):
    indices = [[one.index for one in prefixes(encoder, rank=rank, world_size=2)] for rank in range(2)]
    assert indices == [[*range(8), *range(16, 24)], [*range(8, 16), *range(24, 30)]]


def test_a_sample_comes_with_its_prefix_alone_and_the_length_of_its_truth(encoder):
    first, second = list(prefixes(encoder, num_samples=2))
    assert isinstance(first, Asked)
    assert (first.index, first.encoded.example.prefix, first.encoded.sample.image_size) == (0, "caption en", (10, 12))
    assert not first.encoded.tokenized.is_suffix.any()
    assert first.num_tokens == len(first.encoded.tokenized.input_ids)
    assert (first.expected_characters, second.expected_characters) == (0, len("a red circle"))


def test_loader_processes_change_nothing(encoder):
    source = Rows(length=10, bad=(3,))
    for ours, theirs in zip(prefixes(encoder, source, num_workers=1), prefixes(encoder, source), strict=True):
        assert ours.index == theirs.index
        if isinstance(ours, Skip):
            assert ours == theirs
        else:
            assert np.array_equal(ours.encoded.tokenized.input_ids, theirs.encoded.tokenized.input_ids)
            assert torch.equal(ours.encoded.pixels_u8, theirs.encoded.pixels_u8)
            assert not ours.encoded.pixels_u8.is_shared()


def test_bad_samples_are_told_in_their_place_or_stop_the_evaluation(encoder):
    source = Rows(length=7, bad=(1,), broken=(6,))
    outcomes = list(prefixes(encoder, source))
    assert [one.index for one in outcomes] == list(range(7))
    assert [one.index for one in outcomes if isinstance(one, Skip)] == [1, 6]
    stopping = replace(encoder, data=replace(encoder.data, on_bad_sample=OnBadSample.stop))
    with pytest.raises(BadSampleError, match="bad-row"):
        list(prefixes(stopping, source))


def test_an_image_that_several_samples_ask_about_is_in_their_batch_once(encoder):
    asked = list(prefixes(encoder, num_samples=4))
    batch = pack_prefixes(asked, image_token_id=encoder.tokenizer.image_token_id)
    assert batch.sample_ids == ("s0", "s1", "s2", "s3")
    assert len(batch.input_ids) == 4
    assert batch.num_targets.tolist() == [0, 0, 0, 0]
    assert batch.pixels[:, 0, 0, 0].tolist() == [0, 1]
    assert batch.shown.tolist() == [0, 0, 1, 1]


def test_states_of_a_frozen_image_encoder_take_the_place_of_pixels(encoder):
    asked = [
        replace(one, encoded=replace(one.encoded, pixels_u8=one.encoded.pixels_u8[:0], image_states=states))
        for one, states in zip(prefixes(encoder, num_samples=4), torch.arange(4.0).view(4, 1, 1, 1), strict=True)
    ]
    batch = pack_prefixes(asked, image_token_id=encoder.tokenizer.image_token_id)
    assert len(batch.pixels) == 0
    assert batch.image_states.flatten().tolist() == [0, 2]
