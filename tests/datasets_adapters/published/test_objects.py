"""What parsed JSON is, and is not."""

import pytest

from datasets_adapters.published.objects import are_objects, is_object_of_objects


@pytest.mark.parametrize("value", [[], [{}], [{"a": 1}, {}]])
def test_lists_of_objects_are_known(value: object) -> None:
    assert are_objects(value)
    assert not is_object_of_objects(value)


@pytest.mark.parametrize("value", [{}, {"a": {}}, {"a": {"b": 1}, "c": {}}])
def test_objects_of_objects_are_known(value: object) -> None:
    assert is_object_of_objects(value)
    assert not are_objects(value)


@pytest.mark.parametrize("value", [None, 1, "x", [1], [{}, None], {"a": 1}, {"a": {}, "b": []}])
def test_anything_else_is_neither(value: object) -> None:
    assert not are_objects(value)
    assert not is_object_of_objects(value)
