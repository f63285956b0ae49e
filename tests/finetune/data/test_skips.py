import pytest

from finetune.data.skips import Skip, allow
from finetune.settings import OnBadSample
from finetune.types import BadSampleError

ERROR = BadSampleError(origin="train.jsonl:17", sample_id="a", field_name="image", code="empty-file", message="0 bytes")


def test_a_skip_says_what_its_error_said():
    skip = Skip.from_error(ERROR, 16)
    assert skip.index == 16
    assert str(skip.to_error()) == str(ERROR)
    assert Skip.from_error(skip.to_error(), 16) == skip


def test_skips_stop_a_run_that_does_not_want_them():
    skips = (Skip.from_error(ERROR, 16),)
    allow(skips, OnBadSample.skip)
    allow((), OnBadSample.stop)
    with pytest.raises(BadSampleError, match=r"train\.jsonl:17: image: 0 bytes"):
        allow(skips, OnBadSample.stop)
