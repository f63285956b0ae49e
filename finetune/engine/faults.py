"""The named moments of a save, at which a test can make a process die, a disk fill or a signal arrive.

Nothing outside the process can arm one: no setting, no variable of the environment. A moment that is not armed costs
one look into an empty dictionary.
"""

from collections.abc import Callable

_FILE_MOMENTS = ("before", "begun", "written", "synced")

# Every save, in order. A file is `begun` when some of its bytes were handed to the system and some were not.
SAVE_POINTS: tuple[str, ...] = (
    "save.start",
    "folder.made",
    *(f"{file}.{moment}" for file in ("trained", "optimizer", "state", "manifest") for moment in _FILE_MOMENTS),
    "folder.synced",
    "folder.renamed",
    "names.synced",
    "save.end",
)
# For each older checkpoint that a save removes: after the save's own commit, before `save.end`.
RETENTION_POINTS: tuple[str, ...] = (
    "retention.before",
    "retention.renamed",
    "retention.begun",
    "retention.removed",
)
# A save of a step that is saved already, as after an evaluation: what is said beside the tensors is replaced.
RESTATE_POINTS: tuple[str, ...] = (
    "restate.start",
    *(f"restate.{file}.{moment}" for file in ("state", "manifest") for moment in _FILE_MOMENTS),
    "restate.replaced",
    "restate.synced",
    "restate.end",
)
POINTS: tuple[str, ...] = (*SAVE_POINTS, *RETENTION_POINTS, *RESTATE_POINTS)

_armed: dict[str, Callable[[], None]] = {}


def reach(point: str) -> None:
    """Say that a save has come to this moment; what was armed for it happens here."""
    action = _armed.get(point)
    if action is not None:
        action()


def arm(point: str, action: Callable[[], None]) -> None:
    """Let `action` happen each time that a save of this process comes to `point`, besides what is armed elsewhere.

    Raises:
        ValueError: If there is no such moment.
    """
    if point not in POINTS:
        raise ValueError(f"there is no moment {point} of a save; there are: {', '.join(POINTS)}")
    _armed[point] = action


def disarm() -> None:
    """Forget everything that was armed."""
    _armed.clear()
