"""Progress that can stand beside forks: no thread, and the rate with it."""

import threading
from io import StringIO

from rich.console import Console

from finetune.chaos.progress import QuietBars
from finetune.reporting.progress import Progress


def test_bars_are_drawn_without_a_thread() -> None:
    text = StringIO()
    bars: Progress = QuietBars(Console(file=text, force_terminal=True, width=120))
    before = threading.active_count()
    bars.begin("kills", 10)
    bars.advance("kills", 4, {})
    assert threading.active_count() == before
    bars.say("half of it")
    bars.end("kills")
    bars.close()
    assert "4/10" in text.getvalue()
    assert "/s" in text.getvalue()
    assert "half of it" in text.getvalue()
