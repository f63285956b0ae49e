"""What must not change between the start of a run and its resumption.

The caller decides which settings these are: those that change what is computed, and not where, how fast or how often it
is saved. A resume with others is refused setting by setting, instead of going on as a different run.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.engine.durable import write_text

_MISSING = "(not set)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The immutable settings of a run, nested, as JSON values."""

    settings: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The settings' fingerprint, the same for the same values in any order."""
        return hashlib.sha256(canonical_json(self.settings).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """Write a JSON value in the one way that does not depend on the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_identity(path: Path, identity: Identity) -> None:
    """Write identity.json in one step: a reader finds a whole file or none."""
    partial = path.with_name(path.name + ".partial")
    write_text(partial, json.dumps({"sha256": identity.sha256, "settings": identity.settings}, indent=1) + "\n")
    partial.replace(path)


def read_identity(path: Path) -> Identity:
    """Read what `write_identity` wrote.

    Raises:
        ValueError: If the file was changed by hand or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        identity = Identity(settings=content["settings"])
        intact = identity.sha256 == content["sha256"]
    except (ValueError, TypeError, KeyError):
        intact = False
    if not intact:
        raise ValueError(f"{path} has other content than was written; give the run another name")
    return identity


def require_same(
    recorded: Identity, current: Identity, run_folder: Path, *, reasons: Mapping[str, str] | None = None
) -> None:
    """Refuse to continue a run with other settings.

    Args:
        reasons: By a setting's dotted name, why it of all things cannot change, for people who would expect it to.

    Raises:
        ValueError: One line for each setting that differs.
    """
    differences = changes(recorded, current)
    if differences:
        explained = [reason for name, reason in (reasons or {}).items() if f"  {name}: " in "\n".join(differences)]
        raise ValueError(
            f"{run_folder} was started with other settings; set them back, or give this run another name\n"
            + "\n".join([*differences, *explained])
        )


def changes(recorded: Identity, current: Identity) -> list[str]:
    """Return an indented line for each setting that differs, by name."""
    before, after = dict(_flat(recorded.settings)), dict(_flat(current.settings))
    pairs = {name: (before.get(name, _MISSING), after.get(name, _MISSING)) for name in before.keys() | after.keys()}
    return [f"  {name}: was {old}, is now {new}" for name, (old, new) in sorted(pairs.items()) if old != new]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and their values as JSON."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", canonical_json(value)
