"""Parsed JSON that may be anything, until it was looked at."""

from typing import Any, TypeGuard


def are_objects(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def is_object_of_objects(value: object) -> TypeGuard[dict[str, dict[str, Any]]]:
    """Whether a value is an object whose members are objects."""
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())
