"""A module that computes in the run's precision, whoever calls it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import nn


class Computing(nn.Module):
    """Another module, entered under autocast.

    Args:
        computing: Entered for each call.
    """

    def __init__(self, module: nn.Module, computing: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self.module = module
        self._computing = computing

    def forward(self, *given: Any) -> Any:
        """Call the module."""
        with self._computing():
            return self.module(*given)
