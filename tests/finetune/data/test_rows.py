import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.rows import make_rows, make_shared_rows, num_prefix_tokens, width_of
from finetune.types import TokenizedExample


def example(prefix: int, suffix: int, prefix_id: int = 7) -> TokenizedExample:
    return TokenizedExample(
        sample_id=f"{prefix} + {suffix}",
        input_ids=np.array([prefix_id] * prefix + [8] * suffix, dtype=np.int64),
        is_suffix=np.arange(prefix + suffix) >= prefix,
        num_image_tokens=0,
    )


EXAMPLES = st.lists(
    st.builds(example, st.integers(2, 6), st.integers(1, 5), st.integers(0, 1)), min_size=1, max_size=10
)


@given(EXAMPLES, st.data(), st.sampled_from([None, 12, 30]))
def test_groups_have_equal_images_and_prefixes_and_every_example_stands_once(
    examples: list[TokenizedExample], data: st.DataObject, row_tokens: int | None
) -> None:
    images = [[data.draw(st.integers(0, 1))] for _ in examples]
    rows = make_shared_rows(examples, images, row_tokens)
    members = [member for row in rows for group in row for member in group]
    assert sorted(members) == list(range(len(examples)))
    for row in rows:
        length = 0
        for group in row:
            first = examples[group[0]]
            prefix = num_prefix_tokens(first)
            assert list(group) == sorted(group)
            for member in group:
                assert images[member] == images[group[0]]
                assert examples[member].input_ids[:prefix].tolist() == first.input_ids[:prefix].tolist()
                assert num_prefix_tokens(examples[member]) == prefix
            length += prefix + sum(examples[member].num_targets for member in group)
        assert length <= width_of(rows, examples, row_tokens)
    alone = make_rows(examples, row_tokens)
    area, area_alone = (len(found) * width_of(found, examples, row_tokens) for found in (rows, alone))
    assert area <= area_alone
    assert area < area_alone or rows == alone


def test_five_captions_of_one_image_follow_one_prefix() -> None:
    examples = [example(273, suffix) for suffix in (12, 15, 11, 14, 13)]
    rows = make_shared_rows(examples, [[0]] * 5, None)
    assert rows == [[(0, 1, 2, 3, 4)]]
    assert width_of(rows, examples, None) == 273 + 65


def test_a_prefix_is_not_shared_where_padding_would_cost_more() -> None:
    examples = [example(10, 9), example(10, 9), *(example(10, 9, prefix_id=i) for i in range(20, 26))]
    assert make_shared_rows(examples, [[0]] * 8, None) == make_rows(examples, None)


def test_a_group_that_a_row_cannot_hold_is_divided() -> None:
    examples = [example(4, 3) for _ in range(4)]
    rows = make_shared_rows(examples, [[0]] * 4, 10)
    assert rows == [[(0, 1)], [(2, 3)]]


def test_an_example_longer_than_a_row_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"data\.row_tokens=6 is shorter than sample 4 \+ 3 with 7 tokens"):
        make_rows([example(4, 3)], 6)
