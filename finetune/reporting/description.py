"""What a run is, in words and settings: for trackers, for run.json and for the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSubject:
    """What a run's scores are scores of, for whoever sets them beside others'.

    Args:
        experiment: The experiment that was chosen; None: none was.
        model: Published name of the base model without its resolution, such as "paligemma2-3b"; None: another model.
        image_size: Side of the square image in pixels.
        split: What is evaluated.
        trained_split: What was trained on, of the same data set; "": nothing of it.
    """

    experiment: str | None
    model: str | None
    image_size: int
    split: str
    trained_split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDescription:
    """What is known about a run before its first step.

    Args:
        num_steps: Optimizer steps of the whole run, those before a resumption included; 0: it only evaluates.
        config: Every setting, nested, as JSON values.
        config_text: The same as YAML: what config.yaml will hold.
        subject: None: a run that nobody compares.
        headline: What a reader wants to know first, by name: {"model": "tiny", "recipe": "detection"}.
    """

    name: str
    num_steps: int
    config: Mapping[str, Any]
    config_text: str
    subject: RunSubject | None = None
    headline: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Facts for the report: what trains, what the self-test found."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
