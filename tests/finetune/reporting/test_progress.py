"""Progress for logs and for terminals."""

import io

from rich.console import Console

from finetune.reporting.progress import BarProgress, LineProgress, NoProgress, duration, progress_for, summary


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_at_the_start_at_the_end_and_now_and_then() -> None:
    lines, clock = list[str](), Clock()
    progress = LineProgress(lines.append, seconds=10, clock=clock)
    progress.begin("training", 100)
    for step in range(1, 101):
        clock.now += 1
        progress.advance("training", step, {"loss": 1 / step})
    progress.end("training")
    assert [line.split(" | ")[0] for line in lines] == [
        *(f"training {step}/100" for step in range(1, 100, 10)),
        "training 100/100",
    ]
    assert lines[1] == "training 11/100 | loss 0.0909 | 0:01:29 left"


def test_a_resumed_task_reckons_with_its_own_steps_alone() -> None:
    lines, clock = list[str](), Clock()
    progress = LineProgress(lines.append, seconds=10, clock=clock)
    progress.begin("training", 100, completed=50)
    clock.now += 10
    progress.advance("training", 60, {})
    assert lines == ["training 60/100 | 0:00:40 left"]


def test_a_line_says_what_is_worth_knowing() -> None:
    values = {"grad_norm": 3.0, "tokens_per_second": 12345.6, "loss": 1.23456, "examples_per_second": 7.25}
    assert summary({**values, "memory_gib": 3.25}) == "loss 1.2346 | 7.2 examples/s | 12,346 tokens/s | 3.2 GiB"
    assert summary({}) == ""


def test_bars_show_values_and_messages_and_go_away() -> None:
    stream = io.StringIO()
    progress = BarProgress(Console(file=stream, force_terminal=True, width=200))
    progress.begin("training", 10)
    progress.advance("training", 4, {"loss": 0.5})
    progress.say("[bold] saved")
    progress.begin("evaluation", 2)
    progress.begin("evaluation", 3)
    progress.end("evaluation")
    progress.close()
    shown = stream.getvalue()
    assert "[bold] saved" in shown
    assert "loss 0.5000" in shown
    assert "4/10" in shown


def test_a_rank_that_is_not_the_first_is_silent() -> None:
    assert isinstance(progress_for(is_main=False), NoProgress)
    assert not isinstance(progress_for(is_main=True), NoProgress)


def test_durations_are_written_in_hours_minutes_and_seconds() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 3725)] == ["0:00:00", "0:01:00", "1:02:05"]
