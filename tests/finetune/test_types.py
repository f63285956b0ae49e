"""The values between the rooms."""

import pickle

from finetune.types import BadSampleError


def test_a_bad_sample_error_survives_the_way_out_of_a_worker_process() -> None:
    error = BadSampleError(
        origin="a.jsonl:3", sample_id="7", field_name="image", code="truncated", message="is cut short"
    )
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.jsonl:3: image: is cut short [truncated]"
    assert (again.sample_id, again.code, again.field_name) == ("7", "truncated", "image")
