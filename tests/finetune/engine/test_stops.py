"""Exit codes that schedulers rely on."""

from finetune.engine import stops


def test_every_way_to_stop_has_the_exit_code_that_the_documentation_promises() -> None:
    kinds = [kind for kind in stops.RunStoppedError.__subclasses__() if kind.__module__ == stops.__name__]
    found = {kind.__name__: kind.exit_code for kind in kinds}
    assert found == {
        "NoProgressError": 2,
        "NonFiniteError": 3,
        "DiskError": 4,
        "PeerLostError": 5,
        "PreemptedError": 75,
        "InterruptedRunError": 130,
    }
    assert stops.DiskFullError.exit_code == 4
