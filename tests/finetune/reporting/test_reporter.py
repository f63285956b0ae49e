"""The interface that the loop and the runner see."""

from pathlib import Path

from finetune.reporting.description import RunDescription, Table
from finetune.reporting.main_reporter import MainReporter
from finetune.reporting.progress import NoProgress
from finetune.reporting.reporter import Reporter, SilentReporter


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def test_both_reporters_do_what_the_interface_says() -> None:
    assert public(SilentReporter) == public(Reporter)
    assert public(MainReporter) == public(Reporter)


def test_the_silent_reporter_prints_nothing(capfd: object, tmp_path: Path) -> None:
    reporter = SilentReporter()
    reporter.start(RunDescription(name="r", num_steps=1, config={}, config_text=""))
    reporter.add_table(Table(title="t", columns=("a",), rows=(("b",),)))
    reporter.rewind(0)
    reporter.log({"loss": 1.0}, 1)
    reporter.log_skips([], 1)
    reporter.log_predictions([], 1)
    reporter.log_artifact(tmp_path, "adapter")
    reporter.say("hello")
    reporter.warn("careful")
    reporter.finish(0, "finished")
    assert isinstance(reporter.progress, NoProgress)
    assert capfd.readouterr() == ("", "")  # type: ignore[attr-defined]
