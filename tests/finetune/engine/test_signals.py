"""Requests to stop wait for the step; a second Ctrl-C does not."""

import signal

import pytest

from finetune.engine import signals
from finetune.engine.signals import StopSignals
from finetune.engine.stops import PreemptedError

SCHEDULERS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]


@pytest.mark.parametrize("number", SCHEDULERS)
def test_a_request_of_a_scheduler_is_noted_however_often_it_comes(number: signal.Signals) -> None:
    with StopSignals() as stops, stops.deferred():
        assert stops.requested is None
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert stops.requested is number
        assert stops.preempted
        assert not stops.interrupted


@pytest.mark.parametrize("number", SCHEDULERS)
def test_a_request_while_nothing_would_be_lost_is_followed_at_once_and_once(number: signal.Signals) -> None:
    with StopSignals() as stops:
        with pytest.raises(PreemptedError, match=f"{number.name} asked to end outside training"):
            signal.raise_signal(number)
        signal.raise_signal(number)
        with stops.deferred():
            assert stops.preempted, "whoever swallowed the error, training does not begin"


def test_ctrl_c_outside_training_is_the_usual_one() -> None:
    with StopSignals() as stops, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert stops.interrupted


def test_the_first_ctrl_c_is_noted_and_explained(capfd: pytest.CaptureFixture[str]) -> None:
    with StopSignals() as stops, stops.deferred():
        signal.raise_signal(signal.SIGINT)
        assert stops.interrupted
        assert not stops.preempted
    assert "press Ctrl-C again to stop at once" in capfd.readouterr().err


def test_the_same_press_forwarded_by_a_launcher_is_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with StopSignals() as stops, stops.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stops.interrupted
        monkeypatch.setattr(signals, "_SAME_PRESS_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
