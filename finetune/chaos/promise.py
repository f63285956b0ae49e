"""What became of a promise: how often it was put to the test, how often it held, and the worst that was seen."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Promise:
    """One line of the table.

    Args:
        fault: The kind of fault, as in `faults=[...]`.
        text: What is promised, as a statement.
        tried, held: How often it was tried, and how often it held.
        worst: The worst figure that was seen, in words; "": there is none to measure.
        seconds: What the tests took.
        problems: Where it did not hold, one sentence each.
        not_tried: Why it, or a part of it, could not be tried on this machine; "": all was tried.
    """

    fault: str
    text: str
    tried: int = 0
    held: int = 0
    worst: str = ""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    not_tried: str = ""
    _started: float = field(default_factory=time.monotonic, repr=False)

    def note(self, problems: list[str], where: str, times: int = 1) -> bool:
        """Count a test, or several that have one outcome: they held if there was no problem. Tell whether they did."""
        self.tried += max(times, bool(problems))
        self.held += 0 if problems else times
        self.problems += [f"{where}: {problem}" for problem in problems]
        self.seconds = time.monotonic() - self._started
        return not problems

    @property
    def is_kept(self) -> bool:
        """Whether it was tried, and held every time."""
        return self.tried > 0 and self.held == self.tried

    @property
    def is_broken(self) -> bool:
        """Whether it did not hold at least once."""
        return self.held < self.tried
