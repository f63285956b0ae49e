"""What is still to be written where a process is ended from a thread, past every `finally` of its main thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Speak = Callable[[int, str], None]
_speakers: list[Speak] = []


@contextmanager
def last_words(speak: Speak) -> Iterator[None]:
    """Let `speak` be told an exit code and a reason, if the process is ended inside the block from elsewhere."""
    _speakers.append(speak)
    try:
        yield
    finally:
        _speakers.remove(speak)


def speak_last(exit_code: int, message: str) -> None:
    """Tell everyone who has a last word to say; a disk that refuses one does not keep the process alive."""
    for speak in tuple(_speakers):
        with suppress(OSError):
            speak(exit_code, message)
