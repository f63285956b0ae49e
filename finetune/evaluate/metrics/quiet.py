"""Scorers that print while they work, made silent."""

import contextlib
import io
from collections.abc import Iterator


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what is printed to standard output; errors still raise."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
