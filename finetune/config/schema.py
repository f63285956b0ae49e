"""The whole configuration of a run: its fixed sections and its choices."""

from dataclasses import dataclass, field
from typing import Any

from finetune.settings import (
    CheckpointSettings,
    DataSettings,
    EvaluationSettings,
    PartFlags,
    PartMultipliers,
    ResumeSettings,
    SelfTestSettings,
    TrainingSettings,
    at_least,
)


@dataclass(kw_only=True)
class RunConfig:
    """Every setting of a run. The nodes typed `Any` are choices: YAML first, one of our dataclasses after `parse`.

    Args:
        name: The run's folder under `runs`, without slashes; None: made of the choices and the seed.
        seed: Decides order, random choices and initialisation; the same seed gives the same run.
        plugins: Packages of the user's own that `_target_` may name, beside this project's.
    """

    name: str | None = None
    runs: str = "runs"
    seed: int = 0
    resume: ResumeSettings = field(default_factory=ResumeSettings)
    plugins: list[str] = field(default_factory=list)
    model: Any = None
    peft: Any = None
    dataset: Any = None
    recipe: Any = None
    optimizer: Any = None
    schedule: Any = None
    tracking: Any = None
    distributed: Any = None
    freeze: PartFlags = field(default_factory=PartFlags)
    learning_rates: PartMultipliers = field(default_factory=PartMultipliers)
    data: DataSettings = field(default_factory=DataSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    self_test: SelfTestSettings = field(default_factory=SelfTestSettings)

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        # Another name could lead out of `runs`, or to `runs` itself, and be written over there.
        if self.name in ("", ".", "..") or not set(self.name or "").isdisjoint("/\\\0\n"):
            raise ValueError(
                f"name must be a plain folder name such as cells-1, got {self.name!r}; runs= says where to"
            )
