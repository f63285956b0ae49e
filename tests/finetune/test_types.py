"""The values between the rooms."""

import pickle

from finetune.geometry import Box
from finetune.types import BadSampleError, Instance


def test_a_bad_sample_error_survives_the_way_out_of_a_worker_process() -> None:
    error = BadSampleError(
        origin="a.jsonl:3", sample_id="7", field_name="image", code="truncated", message="is cut short"
    )
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.jsonl:3: image: is cut short [truncated]"
    assert (again.sample_id, again.code, again.field_name) == ("7", "truncated", "image")


def test_an_object_answers_to_its_label_and_to_each_of_its_expressions() -> None:
    dog = Instance(
        label="dog", box=Box(top=0, left=0, bottom=1, right=1), expressions=("the left one", "the brown one")
    )
    assert all(dog.answers_to(name) for name in ("dog", "the left one", "the brown one"))
    assert not dog.answers_to("the right one")
