"""Reading the fields of a row strictly: a value is what it should be, or a `BadSampleError` says where it is not."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from finetune.names import hint
from finetune.types import BadSampleError

# A tokenizer would read these as something other than what a person wrote. (Control tokens, such as <eos>, are refused
# for all text when it is tokenised.)
_LOCATION_TOKENS = re.compile(r"<(?P<kind>loc(?=[0-9]{4}>)|seg(?=[0-9]{3}>))(?P<number>[0-9]+)>")
# One that is not among these would be read letter by letter.
_NUM_TOKENS = {"loc": 1024, "seg": 128}
_LONGEST_QUOTE = 60
# What run lengths can count, and more than any image has.
_LONGEST_SIDE = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlace:
    """Where a row stands, to be named in every refusal. `sample_id` is "" while it is not known.

    Whoever reads a part of the row counts in `notes` what was left out or repaired; they become the sample's.
    """

    origin: str
    sample_id: str
    notes: Counter[str] = field(default_factory=Counter)

    def refuse(self, field_name: str, code: str, message: str) -> NoReturn:
        """Refuse the row.

        Raises:
            BadSampleError: Always.
        """
        raise BadSampleError(
            origin=self.origin, sample_id=self.sample_id, field_name=field_name, code=code, message=message
        )


def quote(value: object) -> str:
    """Return a value as a message shows it: short, on one line."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def check_fields(row: Mapping[str, object], known: Collection[str], field_name: str, place: RowPlace) -> None:
    """Refuse fields that nobody reads: they are misspelt, or would be lost silently."""
    for name in row:
        if name not in known:
            place.refuse(f"{field_name}{name}", "unknown-field", f"unknown field {quote(name)}; {hint(name, known)}")


def read_text(
    value: object, field_name: str, place: RowPlace, *, may_be_empty: bool = False, location_tokens: bool = False
) -> str:
    """Return text that a person wrote.

    Args:
        may_be_empty: Whether "" (or spaces alone) is a value.
        location_tokens: Whether `<loc0000>` and `<seg000>` may stand in it, as in ready-made suffixes.
    """
    if not isinstance(value, str):
        place.refuse(field_name, "wrong-type", f"must be text, got {quote(value)}")
    if not value.strip() and not may_be_empty:
        place.refuse(field_name, "empty-text", "must not be empty: fill it in, or leave the field out")
    if not is_unicode(value):
        place.refuse(field_name, "lone-surrogate", "holds half of a surrogate pair: write the character itself")
    for token in _LOCATION_TOKENS.finditer(value):
        _check_token(token, field_name, place, is_allowed=location_tokens)
    return value


def _check_token(token: re.Match[str], field_name: str, place: RowPlace, *, is_allowed: bool) -> None:
    if not is_allowed:
        message = f"holds the token {token.group()!r}, which only prefix and suffix may: remove it"
        place.refuse(field_name, "location-token", message)
    if int(token["number"]) >= _NUM_TOKENS[token["kind"]]:
        message = f"holds {token.group()!r}, which is no token: write <loc0000> to <loc1023>, <seg000> to <seg127>"
        place.refuse(field_name, "unknown-token", message)


def read_texts(value: object, field_name: str, place: RowPlace) -> tuple[str, ...]:
    """Return one text or a list of texts as a tuple."""
    if isinstance(value, str):
        return (read_text(value, field_name, place),)
    if not isinstance(value, list | tuple):
        place.refuse(field_name, "wrong-type", f"must be text or a list of texts, got {quote(value)}")
    return tuple(read_text(text, f"{field_name}[{index}]", place) for index, text in enumerate(value))


def optional_text(
    row: Mapping[str, object], name: str, place: RowPlace, *, may_be_empty: bool = False, location_tokens: bool = False
) -> str | None:
    """Return a field's text as `read_text` does; None where the row leaves it out."""
    if row.get(name) is None:
        return None
    return read_text(row[name], name, place, may_be_empty=may_be_empty, location_tokens=location_tokens)


def optional_texts(row: Mapping[str, object], name: str, place: RowPlace) -> tuple[str, ...]:
    """Return a field's texts as `read_texts` does; () where the row leaves it out."""
    return () if row.get(name) is None else read_texts(row[name], name, place)


def read_number(value: object, field_name: str, place: RowPlace) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        place.refuse(field_name, "wrong-type", f"must be a number, got {quote(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        place.refuse(field_name, "not-finite", f"must be a finite number, got {quote(value)}")
    return number


def read_size(row: Mapping[str, object], place: RowPlace) -> tuple[int, int] | None:
    """Return (height, width) in pixels from `height` and `width`; None where both are left out."""
    if row.get("height") is None and row.get("width") is None:
        return None
    return _read_side(row, "height", place), _read_side(row, "width", place)


def read_flag(value: object, field_name: str, place: RowPlace) -> bool:
    """Return true or false, also written 1 or 0."""
    if not isinstance(value, bool | int) or value not in (0, 1):
        place.refuse(field_name, "wrong-type", f"must be true or false, got {quote(value)}")
    return bool(value)


def read_id(value: object, field_name: str, place: RowPlace) -> str:
    """Return an identifier, given as text or as a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_text(value, field_name, place)


def _read_side(row: Mapping[str, object], name: str, place: RowPlace) -> int:
    side = row.get(name)
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= _LONGEST_SIDE:
        message = f"must be a whole number of pixels from 1 to {_LONGEST_SIDE}, got {quote(side)}"
        place.refuse(name, "wrong-type", message)
    return side


def is_unicode(text: str) -> bool:
    """Whether a text has a form in UTF-8: half of a surrogate pair has none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
