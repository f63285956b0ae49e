import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.strict_json import StrictJsonError, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(encoded=st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_refusal(encoded: bytes) -> None:
    try:
        parse_json(encoded)
    except StrictJsonError:
        return


@pytest.mark.parametrize(
    ("encoded", "code"),
    [
        (b'{"a": 1, "a": 1}', "duplicate-key"),
        (b'[{"b": {"a": 1, "a": 2}}]', "duplicate-key"),
        (b"[NaN]", "not-finite"),
        (b"[Infinity]", "not-finite"),
        (b"\xff", "not-utf8"),
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"1 2", "not-json"),
        (b"[" * 200_000, "nested-too-deeply"),
        (b"1" * 5000, "not-json"),
    ],
)
def test_what_python_would_let_pass_is_refused(encoded: bytes, code: str) -> None:
    with pytest.raises(StrictJsonError) as refusal:
        parse_json(encoded)
    assert refusal.value.code == code
