"""Which kinds of faults a command line asks for."""

from finetune.chaos.choices import USUAL, Fault, chosen


def test_the_usual_kinds_are_all_but_the_soak() -> None:
    assert set(Fault) - set(USUAL) == {Fault.soak, Fault.all}


def test_all_stands_for_every_kind_once() -> None:
    assert chosen([Fault.soak, Fault.all]) == [one for one in Fault if one is not Fault.all]


def test_kinds_run_in_one_order_whatever_the_order_they_are_asked_in() -> None:
    assert chosen([Fault.disk, Fault.kills, Fault.disk]) == [Fault.kills, Fault.disk]
