"""A workload that takes a moment."""

from collections.abc import Callable, Mapping

import pytest

from finetune.benchmark.choices import Workload
from finetune.config.bench import BenchCommand


@pytest.fixture(scope="session")
def workload_of() -> Callable[..., Workload]:
    """Return a tiny workload, with the given settings of the command."""

    def make(**settings: object) -> Workload:
        given = {"batch": 2, "prefix_tokens": 5, "suffix_tokens": 6, "rank": 2, "length_spread": 0.4} | settings
        return BenchCommand(**given).workload()  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def made_by() -> Mapping[str, str | int | None]:
    """What a record says of the machine."""
    versions = {"torch": "2", "transformers": "5", "peft": "0", "accelerate": None}
    return {"at": "2026-11-23T00:00:00", "device": "a card", "threads": 1, **versions}
