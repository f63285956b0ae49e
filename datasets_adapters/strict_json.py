"""JSON as the standard has it: each name once, no NaN, UTF-8. What Python would let pass is refused with a reason."""

import json
from collections.abc import Sequence
from typing import Any


class StrictJsonError(ValueError):
    """Text that is not the JSON it should be. `code` is the stable reason, as in `BadSampleError`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_json(encoded: bytes) -> Any:
    """Parse one JSON value.

    Raises:
        StrictJsonError: If the text is not UTF-8, not JSON, nested too deeply, repeats a name or holds NaN or Infinity.
    """
    try:
        return json.loads(encoded.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise StrictJsonError("not-utf8", f"is not UTF-8 from byte {error.start} on: save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise StrictJsonError("not-json", f"is not JSON: {error.msg} at character {error.pos}: mend it") from error
    except RecursionError as error:
        raise StrictJsonError("nested-too-deeply", "is nested too deeply to be a row: write it flat") from error
    except StrictJsonError:
        raise
    except ValueError as error:
        # Python refuses to read whole numbers of more than 4300 digits.
        raise StrictJsonError("not-json", "holds a whole number of too many digits: write it as text") from error


def _unique_names(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise StrictJsonError("duplicate-key", f"gives {twice!r} more than once: which one is meant?")
    return unique


def _refuse_constant(constant: str) -> None:
    raise StrictJsonError("not-finite", f"holds {constant}, which JSON does not know: give a number or leave it out")
