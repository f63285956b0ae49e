"""Exit codes that schedulers rely on."""

from finetune.engine import stops


def test_every_way_to_stop_has_the_exit_code_that_the_documentation_promises() -> None:
    codes = {kind.__name__: kind.exit_code for kind in stops.RunStoppedError.__subclasses__()}
    assert codes == {"NonFiniteError": 3, "DiskFullError": 4, "InterruptedRunError": 130, "PreemptedError": 75}
