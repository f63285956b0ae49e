"""What `finetune chaos` can do to a run. Imports without torch."""

from enum import Enum


class Fault(Enum):
    """A kind of fault. `all` stands for every one of them."""

    kills = "kills"
    """kill -9 at random moments."""
    save_points = "save_points"
    """kill -9 at every named moment of a save."""
    corruption = "corruption"
    """The newest checkpoint damaged in every way that is known."""
    signals = "signals"
    """SIGTERM and SIGUSR1 in a step, an evaluation and a save."""
    disk = "disk"
    """A disk that fills up, a limit on the size of files, a folder that cannot be written."""
    ranks = "ranks"
    """One of two processes killed, failing, gone without a word, hanging or stopped."""
    elastic = "elastic"
    """The same run on one, two, four processes and one again."""
    soak = "soak"
    """20,000 steps with 200 saves and 20 evaluations: nothing may grow."""
    all = "all"


# The soak takes minutes to an hour; it is asked for by name.
USUAL = (
    Fault.kills,
    Fault.save_points,
    Fault.corruption,
    Fault.signals,
    Fault.disk,
    Fault.ranks,
    Fault.elastic,
)


def chosen(faults: list[Fault]) -> list[Fault]:
    """Return the kinds that are asked for, each once, in the order in which they run."""
    return [one for one in Fault if one is not Fault.all and (one in faults or Fault.all in faults)]
