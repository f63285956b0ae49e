import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.data.packing import Batch, pack
from finetune.types import TokenizedExample

IMAGE = 9
BOS, NEWLINE, EOS = 2, 3, 1


def tokenized(name: str, num_images: int, prefix: int, suffix: int | None) -> TokenizedExample:
    """Two placeholders an image; text ids that name their place, so that a swap would show. None: a prefix."""
    seen = [IMAGE, IMAGE] * num_images + [BOS] + list(range(100, 100 + prefix)) + [NEWLINE]
    after = [] if suffix is None else [*range(200, 200 + suffix), EOS]
    return TokenizedExample(
        sample_id=name,
        input_ids=np.array(seen + after, dtype=np.int64),
        is_suffix=np.array([False] * len(seen) + [True] * len(after)),
        num_image_tokens=2 * num_images,
    )


@st.composite
def example_lists(draw):
    shapes = draw(
        st.lists(
            st.tuples(st.integers(1, 2), st.integers(0, 6), st.one_of(st.none(), st.integers(0, 6))),
            min_size=1,
            max_size=9,
        )
    )
    return [tokenized(f"s{number}", *shape) for number, shape in enumerate(shapes)]


def packed(examples, **how) -> Batch:
    num_images = sum(example.num_image_tokens // 2 for example in examples)
    pixels = torch.arange(num_images, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return pack(examples, pixels, image_token_id=IMAGE, **how)


ROW = st.one_of(st.none(), st.integers(19, 60))


@given(example_lists(), ROW)
def test_every_token_lands_once_next_to_its_neighbours(examples, row_tokens):
    batch = packed(examples, row_tokens=row_tokens)
    for number, example in enumerate(examples):
        (places,) = torch.nonzero(batch.example_ids.reshape(-1) == number, as_tuple=True)
        assert torch.equal(places, torch.arange(places[0], places[0] + len(example.input_ids)))
        assert places[0] // batch.input_ids.shape[1] == places[-1] // batch.input_ids.shape[1]
        assert batch.input_ids.reshape(-1)[places].tolist() == example.input_ids.tolist()
        assert batch.is_suffix.reshape(-1)[places].tolist() == example.is_suffix.tolist()
        assert batch.position_ids.reshape(-1)[places].tolist() == list(range(len(example.input_ids)))
    padding = batch.example_ids == -1
    assert int((~padding).sum()) == sum(len(example.input_ids) for example in examples)
    for tensor in (batch.input_ids, batch.position_ids, batch.is_suffix):
        assert not tensor[padding].any()


@given(example_lists(), ROW)
def test_targets_are_predicted_from_the_position_before_in_the_same_example(examples, row_tokens):
    batch = packed(examples, row_tokens=row_tokens)
    expected = [example.input_ids[example.is_suffix].tolist() for example in examples]
    assert batch.targets.tolist() == [target for targets in expected for target in targets]
    assert batch.num_targets.tolist() == [len(targets) for targets in expected]
    assert batch.target_examples.tolist() == [number for number, targets in enumerate(expected) for _ in targets]
    flat_ids, owners = batch.input_ids.reshape(-1), batch.example_ids.reshape(-1)
    assert torch.equal(flat_ids[batch.predictor_rows + 1], batch.targets)
    assert torch.equal(owners[batch.predictor_rows], batch.target_examples)
    assert torch.equal(owners[batch.predictor_rows + 1], batch.target_examples)


@given(example_lists(), ROW)
def test_image_positions_follow_the_order_of_the_pixels(examples, row_tokens):
    batch = packed(examples, row_tokens=row_tokens)
    assert (batch.input_ids.reshape(-1)[batch.image_rows] == IMAGE).all()
    assert len(batch.image_rows) == 2 * len(batch.pixels) == int((batch.input_ids == IMAGE).sum())
    owners = [number for number, example in enumerate(examples) for _ in range(example.num_image_tokens)]
    assert batch.example_ids.reshape(-1)[batch.image_rows].tolist() == owners


@settings(max_examples=200)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=30), st.integers(15, 40))
def test_first_fit_never_overflows_and_opens_a_row_only_when_it_must(suffixes, row_tokens):
    examples = [tokenized(f"s{number}", 1, 0, suffix - 1) for number, suffix in enumerate(suffixes) if suffix <= 11]
    if not examples:
        return
    batch = packed(examples, row_tokens=row_tokens)
    assert batch.input_ids.shape[1] == row_tokens
    free: list[int] = []
    for number, example in enumerate(examples):
        (row,) = set(torch.nonzero(batch.example_ids == number)[:, 0].tolist())
        length = len(example.input_ids)
        assert row == next((place for place, room in enumerate(free) if room >= length), len(free))
        free += [row_tokens] if row == len(free) else []
        free[row] -= length
        assert free[row] >= 0
    assert len(batch.input_ids) == len(free)


def test_one_example_a_row_is_padded_to_the_longest():
    batch = packed([tokenized("a", 1, 1, 1), tokenized("b", 1, 4, 2)])
    assert batch.input_ids.shape == (2, 11)
    assert (batch.example_ids == -1).sum(dim=1).tolist() == [4, 0]


def test_the_picture_of_the_module_is_what_comes_out():
    batch = packed([tokenized("a", 1, 1, 2), tokenized("b", 1, 2, 1)], row_tokens=18)
    assert batch.example_ids.tolist() == [[0] * 8 + [1] * 8 + [-1, -1]]
    assert batch.position_ids.tolist() == [[*range(8), *range(8), 0, 0]]
    assert batch.predictor_rows.tolist() == [4, 5, 6, 13, 14]
    assert batch.targets.tolist() == [200, 201, EOS, 200, EOS]


def test_prefixes_have_no_targets():
    batch = packed([tokenized("a", 1, 1, None), tokenized("b", 1, 3, None)])
    assert batch.targets.shape == batch.predictor_rows.shape == (0,)
    assert batch.targets.dtype == batch.predictor_rows.dtype == batch.target_examples.dtype == torch.int64
    assert batch.num_targets.tolist() == [0, 0]


def test_weights_are_one_unless_given():
    examples = [tokenized("a", 1, 1, 1), tokenized("b", 1, 1, 1)]
    assert packed(examples).example_weights.tolist() == [1.0, 1.0]
    assert packed(examples, example_weights=[0.0, 1.0]).example_weights.tolist() == [0.0, 1.0]


def test_an_example_longer_than_a_row_is_refused_by_name():
    with pytest.raises(ValueError, match=r"data\.row_tokens=10 is shorter than sample b with 11 tokens"):
        packed([tokenized("a", 1, 1, 1), tokenized("b", 1, 4, 2)], row_tokens=10)


def test_moving_a_batch_keeps_everything():
    batch = packed([tokenized("a", 1, 1, 1)])
    moved = batch.to(torch.device("meta"))
    assert moved.sample_ids == ("a",)
    assert moved.num_examples == 1
    assert {moved.input_ids.device.type, moved.pixels.device.type, moved.example_weights.device.type} == {"meta"}


def shared(names: str, suffixes: list[int], keys: list[str], **how) -> Batch:
    """Examples of one image and one prefix each, by the image's key."""
    examples = [tokenized(name, 1, 1, suffix) for name, suffix in zip(names, suffixes, strict=True)]
    return packed(examples, image_keys=keys, **how)


def test_equal_images_are_kept_once_and_shown_where_they_belong():
    batch = shared("abcd", [1, 1, 1, 1], ["x", "y", "x", "x"])
    assert batch.pixels[:, 0, 0, 0].tolist() == [0, 1]
    assert batch.shown.tolist() == [0, 1, 0, 0]
    assert len(batch.image_rows) == 8


def test_images_without_keys_are_all_kept():
    batch = packed([tokenized("a", 2, 1, 1), tokenized("b", 1, 1, 1)])
    assert (len(batch.pixels), batch.shown.tolist()) == (3, [0, 1, 2])


def test_kept_states_take_the_place_of_pixels():
    examples = [tokenized(name, 1, 1, 1) for name in "abc"]
    states = torch.arange(3.0).view(3, 1, 1).expand(-1, 2, 5)
    no_pixels = torch.zeros((0, 3, 2, 2), dtype=torch.uint8)
    batch = pack(examples, no_pixels, image_states=states, image_token_id=IMAGE, image_keys=["x", "x", "z"])
    assert batch.image_states[:, 0, 0].tolist() == [0.0, 2.0]
    assert batch.shown.tolist() == [0, 0, 1]
    assert len(batch.pixels) == 0


def test_examples_of_one_image_and_prefix_follow_one_prefix():
    batch = shared("ab", [2, 1], ["x", "x"], shares_prefixes=True)
    # The picture of the module.
    assert batch.input_ids.tolist() == [[IMAGE, IMAGE, BOS, 100, NEWLINE, 200, 201, EOS, 200, EOS]]
    assert batch.example_ids.tolist() == [[0] * 8 + [1] * 2]
    assert batch.prefix_ids.tolist() == [[0] * 10]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 5, 6]]
    assert batch.is_suffix.tolist() == [[False] * 5 + [True] * 5]
    assert batch.predictor_rows.tolist() == [4, 5, 6, 4, 8]
    assert batch.targets.tolist() == [200, 201, EOS, 200, EOS]
    assert batch.target_examples.tolist() == [0, 0, 0, 1, 1]
    assert (batch.shown.tolist(), batch.image_rows.tolist()) == ([0], [0, 1])


def test_targets_stay_in_the_order_of_the_examples_wherever_they_stand():
    batch = shared("abc", [3, 1, 2], ["x", "y", "x"], shares_prefixes=True, row_tokens=16)
    assert batch.sample_ids == ("a", "b", "c")
    assert batch.targets.tolist() == [200, 201, 202, EOS, 200, EOS, 200, 201, EOS]
    assert batch.num_targets.tolist() == [4, 2, 3]
    assert batch.input_ids.reshape(-1)[batch.predictor_rows].tolist() == [
        NEWLINE,
        200,
        201,
        202,
        NEWLINE,
        200,
        NEWLINE,
        200,
        201,
    ]


def test_other_images_or_other_prefixes_share_nothing():
    assert len(shared("ab", [2, 1], ["x", "y"], shares_prefixes=True).input_ids) == 2
    other = [tokenized("a", 1, 1, 1), tokenized("b", 1, 2, 1)]
    assert len(packed(other, image_keys=["x", "x"], shares_prefixes=True).input_ids) == 2


@given(example_lists(), ROW)
def test_without_anything_in_common_sharing_changes_nothing(examples, row_tokens):
    num_images = sum(example.num_image_tokens // 2 for example in examples)
    keys = [str(number) for number in range(num_images)]
    alone = packed(examples, row_tokens=row_tokens)
    batch = packed(examples, row_tokens=row_tokens, image_keys=keys, shares_prefixes=True)
    for name in ("input_ids", "example_ids", "prefix_ids", "position_ids", "predictor_rows", "pixels", "shown"):
        assert torch.equal(getattr(batch, name), getattr(alone, name)), name
    assert torch.equal(alone.prefix_ids, alone.example_ids)
