import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.settings import OnOverlong
from finetune.tokens.sequence import CONTROL_TOKENS, tokenize, tokenize_prefix, was_cut
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, Example, ImagePixels

IMAGE = ImagePixels(name="black", pixels=np.zeros((2, 2, 3), dtype=np.uint8))
TEXT = st.text(max_size=20).filter(lambda text: not any(token in text for token in CONTROL_TOKENS))


@pytest.fixture(scope="module")
def tokenizer(repository) -> Tokenizer:
    return Tokenizer.from_folder(repository / "finetune" / "model" / "tiny_checkpoint")


def example(prefix: str, suffix: str = "", num_images: int = 1) -> Example:
    return Example(sample_id="a", images=(IMAGE,) * num_images, prefix=prefix, suffix=suffix)


def lay_down(tokenizer, one, *, prefix_alone=False, longest=128, overlong=OnOverlong.refuse):
    how = {"num_image_tokens": 3, "max_text_tokens": longest, "on_overlong": overlong}
    return (tokenize_prefix if prefix_alone else tokenize)(one, tokenizer, **how)


@pytest.fixture(scope="module")
def parts(tokenizer):
    prefix, suffix = tokenizer.encode("caption en"), tokenizer.encode("a red circle")
    assert len(suffix) >= 2
    return prefix, suffix


def test_an_example_is_image_bos_prefix_newline_suffix_eos(tokenizer, parts):
    prefix, suffix = parts
    laid = lay_down(tokenizer, example("caption en", "a red circle"))
    before = [tokenizer.image_token_id] * 3 + [tokenizer.bos_id, *prefix, tokenizer.newline_id]
    assert laid.input_ids.tolist() == [*before, *suffix, tokenizer.eos_id]
    assert laid.is_suffix.tolist() == [False] * len(before) + [True] * (len(suffix) + 1)
    assert laid.num_image_tokens == 3
    assert laid.num_targets == len(suffix) + 1


def test_two_images_have_their_placeholders_one_after_the_other(tokenizer):
    laid = lay_down(tokenizer, example("same?", "yes", num_images=2))
    assert (laid.input_ids == tokenizer.image_token_id).tolist()[:7] == [True] * 6 + [False]
    assert laid.num_image_tokens == 6


def test_an_empty_suffix_teaches_to_stop_at_once(tokenizer):
    laid = lay_down(tokenizer, example("detect a"))
    assert laid.input_ids[laid.is_suffix].tolist() == [tokenizer.eos_id]


@given(prefix=TEXT, suffix=TEXT)
def test_the_prefix_is_the_beginning_of_the_example_whatever_is_said(tokenizer, prefix, suffix):
    whole = lay_down(tokenizer, example(prefix, suffix), longest=500)
    prefix = lay_down(tokenizer, example(prefix, suffix), longest=500, prefix_alone=True)
    assert not prefix.is_suffix.any()
    assert whole.input_ids[: len(prefix.input_ids)].tolist() == prefix.input_ids.tolist()
    assert np.flatnonzero(whole.is_suffix)[0] == len(prefix.input_ids)


@given(suffix=TEXT)
def test_the_targets_say_the_suffix_and_then_stop(tokenizer, suffix):
    laid = lay_down(tokenizer, example("caption en", suffix), longest=500)
    *targets, last = laid.input_ids[laid.is_suffix].tolist()
    assert targets == tokenizer.encode(suffix)
    assert last == tokenizer.eos_id


@pytest.mark.parametrize("token", CONTROL_TOKENS)
@pytest.mark.parametrize("field", ["prefix", "suffix"])
def test_text_that_names_a_control_token_is_refused(tokenizer, token, field):
    texts = {"prefix": "caption en", "suffix": "a dog", field: f"well {token} so"}
    with pytest.raises(BadSampleError, match=token) as caught:
        lay_down(tokenizer, example(**texts))
    assert (caught.value.code, caught.value.field_name) == ("control-token", field)


def test_location_and_segmentation_tokens_are_text_of_one_id_each(tokenizer):
    laid = lay_down(tokenizer, example("caption <loc0000>", "<loc1023><seg127>"))
    assert laid.num_targets == 3


def test_the_longest_example_that_fits_is_kept_and_one_token_more_is_refused(tokenizer, parts):
    length = len(parts[0]) + 1 + len(parts[1]) + 1
    assert len(lay_down(tokenizer, example("caption en", "a red circle"), longest=length).input_ids) == 4 + length
    with pytest.raises(
        BadSampleError, match=f"{length} text tokens exceed data.max_text_tokens={length - 1}"
    ) as caught:
        lay_down(tokenizer, example("caption en", "a red circle"), longest=length - 1)
    assert caught.value.code == "too-long"


def test_truncation_takes_eos_first_and_then_the_end_of_the_suffix(tokenizer, parts):
    prefix, suffix = parts
    one = example("caption en", "a red circle")
    for removed in range(1, len(suffix) + 1):
        longest = len(prefix) + 1 + len(suffix) + 1 - removed
        laid = lay_down(tokenizer, one, longest=longest, overlong=OnOverlong.truncate)
        assert laid.input_ids[laid.is_suffix].tolist() == suffix[: len(suffix) + 1 - removed]
        assert was_cut(one, laid, tokenizer)
    whole = lay_down(tokenizer, one, overlong=OnOverlong.truncate)
    assert not was_cut(one, whole, tokenizer)


def test_truncation_may_leave_nothing_to_learn_as_in_the_original(tokenizer, parts):
    one = example("caption en", "a")
    whole = lay_down(tokenizer, one).input_ids.tolist()
    for longest in (len(parts[0]) + 1, len(parts[0])):
        laid = lay_down(tokenizer, one, longest=longest, overlong=OnOverlong.truncate)
        assert laid.num_targets == 0
        assert laid.input_ids.tolist() == whole[: laid.num_image_tokens + 1 + longest]
        assert was_cut(one, laid, tokenizer)


def test_a_truncated_prefix_keeps_its_newline(tokenizer, parts):
    one = example("caption en")
    laid = lay_down(tokenizer, one, prefix_alone=True, longest=len(parts[0]), overlong=OnOverlong.truncate)
    assert laid.input_ids.tolist()[4:] == [*parts[0][:-1], tokenizer.newline_id]
    assert was_cut(one, laid, tokenizer)
    with pytest.raises(BadSampleError, match="text tokens exceed"):
        lay_down(tokenizer, one, prefix_alone=True, longest=len(parts[0]))
