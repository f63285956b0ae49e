"""The ways a run ends before its last step, each with the exit code that schedulers see."""


class RunStoppedError(Exception):
    """A run ended early, on purpose or by force; the message is for the user.

    `exit_code` is the process's: 0 done, 1 a bug, 2 a mistake in settings or data, and those below.
    """

    exit_code = 1


class NoProgressError(RunStoppedError):
    """The run was started again and again and saved nothing new; starting it once more would not help."""

    exit_code = 2


class NonFiniteError(RunStoppedError):
    """The loss or the gradient was not finite several times in a row."""

    exit_code = 3


class DiskError(RunStoppedError):
    """The run's folder could not be written; the last good checkpoint is still there."""

    exit_code = 4


class DiskFullError(DiskError):
    """A checkpoint did not fit on the disk, or exceeds what this user may store."""


class PeerLostError(RunStoppedError):
    """Another process of the run died or no longer answers."""

    exit_code = 5


class InterruptedRunError(RunStoppedError):
    """The user pressed Ctrl-C; the state was saved."""

    exit_code = 130


class PreemptedError(RunStoppedError):
    """A scheduler asked the run to end; the state was saved, and the run wants to be started again."""

    exit_code = 75
