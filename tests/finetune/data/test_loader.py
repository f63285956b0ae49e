from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
import pytest
import torch

from finetune.data.division import divide
from finetune.data.encode import SampleEncoder
from finetune.data.image_groups import group_by_image
from finetune.data.loader import TrainingLoader
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.data.prefixes import PrefixLoader, pack_prefixes
from finetune.settings import DataSettings, OnBadSample
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, Example, ImageBytes, ImagePixels, Sample
from recipes.captioning import Captioning

CAPTIONS = ("a red circle", "one circle", "a small circle on a table", "red")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Images that show their row's number. Rows in `bad` cannot be read, those in `broken` have a broken image."""

    length: int = 11
    block_size: int | None = None
    bad: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index in self.bad:
            raise BadSampleError(origin=f"rows:{index}", sample_id="", field_name="row", code="bad-row", message="torn")
        pixels = np.full((10, 12, 3), index, dtype=np.uint8)
        image = ImageBytes(name="x", data=b"") if index in self.broken else ImagePixels(name="x", pixels=pixels)
        return Sample(sample_id=f"s{index}", origin=f"rows:{index}", images=(image,), captions=CAPTIONS)


@dataclass(frozen=True, kw_only=True)
class Counting(Captioning):
    """Notes how many captions it left out."""

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        return replace(super().encode(sample, rng), notes={"captions left out": len(sample.captions) - 1})


@pytest.fixture(scope="module")
def encoder(repository) -> SampleEncoder:
    tokenizer = Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")
    return SampleEncoder(tokenizer=tokenizer, image_size=28, num_image_tokens=4, data=DataSettings(max_text_tokens=40))


def skipping(encoder: SampleEncoder) -> SampleEncoder:
    return replace(encoder, data=replace(encoder.data, on_bad_sample=OnBadSample.skip))


def loader(encoder, source=None, **how) -> TrainingLoader:
    source = Rows() if source is None else source
    ingredients = (
        Ingredient(name="captions", source=source, recipe=Captioning(), weight=2.0),
        Ingredient(name="counted", source=Rows(length=7), recipe=Counting()),
    )
    sizes = {"global_batch_size": 8, "micro_batch_size": 2} | how
    return TrainingLoader(TrainingSet(ingredients=ingredients, seed=5), encoder, seed=5, **sizes)


def content(batches) -> list[tuple]:
    """What every example of some batches is made of, without how they are laid out in rows."""
    found = []
    for batch in batches:
        for number, name in enumerate(batch.sample_ids):
            mine = batch.example_ids == number
            ids = tuple(batch.input_ids[mine].tolist())
            found.append((name, ids, int(batch.pixels[number].sum()), float(batch.example_weights[number])))
    return found


def same(first: object, second: object) -> bool:
    """Whether two values are equal, tensors and dataclasses of them included."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if is_dataclass(first):
        return all(same(getattr(first, field.name), getattr(second, field.name)) for field in fields(first))
    return first == second


@dataclass(frozen=True, kw_only=True)
class Clips(Rows):
    """Row i has i % 3 + 1 images, which show 10 * i, 10 * i + 1, ..."""

    def __getitem__(self, index: int) -> Sample:
        levels = range(10 * index, 10 * index + index % 3 + 1)
        pixels = [np.full((10, 12, 3), level, dtype=np.uint8) for level in levels]
        images = tuple(ImagePixels(name="x", pixels=one) for one in pixels)
        return replace(super().__getitem__(index), images=images)


@pytest.mark.parametrize("row_tokens", [None, 120])
def test_examples_with_different_numbers_of_images_share_a_micro_batch(encoder, row_tokens):
    packing = replace(encoder, data=replace(encoder.data, row_tokens=row_tokens))
    training_set = TrainingSet(ingredients=(Ingredient(name="", source=Clips(), recipe=Captioning()),), seed=5)
    windows = TrainingLoader(training_set, packing, seed=5, global_batch_size=11, micro_batch_size=11).windows(0, 1)
    prefixes = pack_prefixes(
        list(PrefixLoader(Clips(), Captioning(), encoder)), image_token_id=encoder.tokenizer.image_token_id
    )
    for batch in (next(windows).batches[0], prefixes):
        levels = [10 * int(name[1:]) + place for name in batch.sample_ids for place in range(int(name[1:]) % 3 + 1)]
        assert batch.pixels[:, 0, 0, 0].tolist() == levels
        # Four placeholders an image, in the rows of the example that the image belongs to.
        owners = batch.example_ids.flatten()[batch.image_rows].view(-1, 4)
        assert [batch.sample_ids[owner] for owner in owners[:, 0].tolist()] == [f"s{level // 10}" for level in levels]
        assert (owners == owners[:, :1]).all()


@pytest.fixture(scope="module")
def whole(encoder):
    """Six steps (two and two thirds of an epoch) in one process."""
    return list(loader(encoder).windows(0, 6))


def test_step_s_holds_positions_s_times_g_onwards(encoder, whole):
    stream = loader(encoder).training_set
    for window in whole:
        draws = [stream.draw(position) for position in range(window.step * 8, window.step * 8 + 8)]
        names = [name for batch in window.batches for name in batch.sample_ids]
        assert names == [f"s{draw.index}" for draw in draws]
    assert [window.step for window in whole] == [0, 1, 2, 3, 4, 5]
    assert [window.epoch for window in whole] == [0, 0, 0, 1, 1, 2]
    assert all(len(window.batches) == 4 for window in whole)


def test_starting_at_a_step_gives_what_would_have_come_then(encoder, whole):
    resumed = list(loader(encoder).windows(3, 6))
    assert [window.step for window in resumed] == [3, 4, 5]
    for ours, theirs in zip(resumed, whole[3:], strict=True):
        assert all(map(same, ours.batches, theirs.batches))
        assert ours.notes == theirs.notes


@pytest.mark.parametrize("num_workers", [1, 2])
def test_any_number_of_processes_gives_the_same_bytes_in_the_same_order(encoder, whole, num_workers):
    windows = list(loader(encoder, num_workers=num_workers).windows(0, 6))
    for ours, theirs in zip(windows, whole, strict=True):
        assert all(map(same, ours.batches, theirs.batches))
        assert ours.notes == theirs.notes


@pytest.mark.parametrize(("world_size", "micro_batch_size"), [(1, 8), (1, 1), (2, 4), (2, 2), (4, 1)])
def test_ranks_and_micro_batches_only_divide_the_window(encoder, whole, world_size, micro_batch_size):
    ranks = [
        list(loader(encoder, micro_batch_size=micro_batch_size, rank=rank, world_size=world_size).windows(0, 6))
        for rank in range(world_size)
    ]
    for step, window in enumerate(whole):
        parts = [rank[step] for rank in ranks]
        assert all(len(part.batches) == 8 // world_size // micro_batch_size for part in parts)
        assert content(batch for part in parts for batch in part.batches) == content(window.batches)


def test_packed_rows_hold_the_same_examples(encoder, whole):
    packing = replace(encoder, data=replace(encoder.data, row_tokens=64))
    windows = list(loader(packing).windows(0, 6))
    assert [content(window.batches) for window in windows] == [content(window.batches) for window in whole]
    assert {batch.input_ids.shape[1] for window in windows for batch in window.batches} == {64}
    assert any(len(batch.input_ids) == 1 for window in windows for batch in window.batches)


def test_a_sample_makes_another_choice_in_another_epoch(encoder, whole):
    texts = {}
    for name, ids, *_ in content(batch for window in whole for batch in window.batches):
        texts.setdefault(name, set()).add(ids)
    assert max(len(chosen) for chosen in texts.values()) > 1


def test_another_seed_gives_another_order(encoder, whole):
    other = replace(loader(encoder), training_set=replace(loader(encoder).training_set, seed=6))
    assert content(next(other.windows(0, 1)).batches) != content(whole[0].batches)


def test_notes_are_added_up(encoder, whole):
    counted = sum(window.notes.get("captions left out", 0) for window in whole)
    stream = loader(encoder).training_set
    assert counted == 3 * sum(stream.draw(position).ingredient.name == "counted" for position in range(48))


def test_an_uneven_window_is_refused(encoder):
    with pytest.raises(ValueError, match=r"global_batch_size=8 must be a multiple of .*=2 times 3 processes"):
        loader(encoder, world_size=3)


BAD = Rows(bad=(3,), broken=(4, 5))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_bad_samples_stand_in_with_weight_0_and_the_others_stay_where_they_were(encoder, whole, num_workers):
    windows = list(loader(skipping(encoder), BAD, num_workers=num_workers).windows(0, 6))
    skips = [skip for window in windows for skip in window.skips]
    assert {(skip.index, skip.code, skip.field_name, skip.origin) for skip in skips} == {
        (3, "bad-row", "row", "rows:3"),
        (4, "empty-file", "image", "rows:4"),
        (5, "empty-file", "image", "rows:5"),
    }
    num_stand_ins = 0
    for ours, theirs in zip(windows, whole, strict=True):
        for found, expected in zip(content(ours.batches), content(theirs.batches), strict=True):
            stands_in = found[3] == 0
            num_stand_ins += stands_in
            assert (found[2] == 0 and len(found[1]) == 7) if stands_in else found == expected
    # Every sample read is used or skipped.
    assert num_stand_ins == len(skips) > 0


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_first_bad_sample_stops_the_run_by_name_when_its_step_comes(encoder, num_workers):
    reached = []
    with pytest.raises(BadSampleError) as caught:
        reached.extend(window.step for window in loader(encoder, BAD, num_workers=num_workers).windows(0, 6))
    first = next(skip for window in loader(skipping(encoder), BAD).windows(0, 6) for skip in window.skips)
    assert str(caught.value) == str(first.to_error())
    assert (caught.value.code, caught.value.sample_id) == (first.code, first.sample_id)


def test_all_captions_of_an_image_come_together_and_read_it_once(encoder):
    source = divide(Rows(length=5), Captioning(use_all_captions=True).training_division())
    ingredient = Ingredient(name="", source=source, recipe=Captioning(), groups=group_by_image(source))
    training_set = TrainingSet(ingredients=(ingredient,), seed=5)
    sizes = {"seed": 5, "global_batch_size": 4, "micro_batch_size": 4}
    shared, alone = (
        [
            window.batches[0]
            for window in TrainingLoader(training_set, encoder, shares_images=how, **sizes).windows(0, 5)
        ]
        for how in (True, False)
    )
    for ours, theirs in zip(shared, alone, strict=True):
        assert (len(ours.pixels), len(theirs.pixels)) == (1, 4)
        assert (len(ours.input_ids), len(theirs.input_ids)) == (1, 4)
        assert ours.sample_ids == theirs.sample_ids
        assert torch.equal(ours.targets, theirs.targets)
        assert torch.equal(ours.pixels[0], theirs.pixels[3])
    names = [name for batch in shared for name in batch.sample_ids]
    assert sorted(names) == sorted(f"s{row}/{number}" for row in range(5) for number in range(4))
