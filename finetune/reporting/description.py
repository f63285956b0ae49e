"""What a run is, in words and settings: for trackers, for run.json and for the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDescription:
    """What is known about a run before its first step.

    Args:
        num_steps: Optimizer steps of the whole run, those before a resumption included; 0: it only evaluates.
        config: Every setting, nested, as JSON values.
        config_text: The same as YAML: what config.yaml will hold.
        headline: What a reader wants to know first, by name: {"model": "tiny", "recipe": "detection"}.
    """

    name: str
    num_steps: int
    config: Mapping[str, Any]
    config_text: str
    headline: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Facts for the report: what trains, what the self-test found."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
