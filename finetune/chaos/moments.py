"""Moments of a training at which something can be made to happen, in the process that arms them and in no other."""

import os
import signal
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from finetune.engine import faults

_FIRST_POINT = "save.start"


def before_call(module: ModuleType, name: str, number: int, action: Callable[[], None]) -> None:
    """Let `action` happen just before a module's function is called for the `number`-th time, from 1.

    Raises:
        AttributeError: If the module has no such function.
    """
    function = getattr(module, name)
    calls = 0

    @wraps(function)
    def watched(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return function(*arguments, **named)

    setattr(module, name, watched)


def in_save(point: str, number: int, action: Callable[[], None]) -> None:
    """Let `action` happen at a named moment of the `number`-th save of this process, from 1, and of later ones.

    A moment that this save does not come to, as those of retention in a first save, waits for one that does.
    """
    saves = 0

    def begin() -> None:
        nonlocal saves
        saves += 1
        if point == _FIRST_POINT:
            act()

    def act() -> None:
        if saves >= number:
            action()

    faults.arm(_FIRST_POINT, begin)
    if point != _FIRST_POINT:
        faults.arm(point, act)


def at_reach(point: str, number: int, action: Callable[[], None]) -> None:
    """Let `action` happen when this process comes to a named moment of a save for the `number`-th time, from 1."""
    reached = 0

    def act() -> None:
        nonlocal reached
        reached += 1
        if reached == number:
            action()

    faults.arm(point, act)


def kill_self() -> None:
    """kill -9 this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop_self() -> None:
    """Stop this process where it stands, as a debugger or a frozen node would."""
    os.kill(os.getpid(), signal.SIGSTOP)
