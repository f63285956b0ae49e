"""A process that is ended from a thread still says why."""

from finetune.engine.last_words import last_words, speak_last


def test_who_listens_is_told_and_who_has_left_is_not() -> None:
    heard: list[tuple[int, str]] = []

    def refuse(exit_code: int, message: str) -> None:
        raise OSError("no disk")

    def hear(exit_code: int, message: str) -> None:
        heard.append((exit_code, message))

    speak_last(5, "too early")
    with last_words(refuse), last_words(hear):
        speak_last(5, "rank 3 is late")
    speak_last(5, "too late")
    assert heard == [(5, "rank 3 is late")]
