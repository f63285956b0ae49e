"""The settings of `finetune chaos` beside those of the run that it puts to the test."""

from dataclasses import dataclass, field
from pathlib import Path

from finetune.chaos.choices import USUAL, Fault, chosen
from finetune.settings import at_least


@dataclass(kw_only=True)
class ChaosCommand:
    """What `finetune chaos` does to the run, and how often.

    Args:
        faults: Kinds of faults; all: every kind, the soak included.
        kills: How often a training is killed at a random moment, over all ways of training.
        brief: Whether to try the run's own way of training alone, and each kind of fault in fewer varieties.
        soak_steps: Steps of the soak.
        to: The JSON file to write; None: one in runs/chaos with the run's name.
    """

    faults: list[Fault] = field(default_factory=lambda: list(USUAL))
    kills: int = 50
    brief: bool = False
    soak_steps: int = 20_000
    to: str | None = None

    def __post_init__(self) -> None:
        at_least("kills", self.kills, 1)
        at_least("soak_steps", self.soak_steps, 200)
        if not self.faults:
            raise ValueError(f"faults must name at least one of {', '.join(one.name for one in Fault)}")

    def chosen(self) -> list[Fault]:
        """Return the kinds that are asked for, in the order in which they run."""
        return chosen(self.faults)

    def file(self, runs: Path, name: str) -> Path:
        """Return where the results go."""
        return Path(self.to) if self.to is not None else runs / "chaos" / f"{name}.json"
