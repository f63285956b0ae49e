"""What must not change between the start of a run and its resumption.

The caller decides which settings these are: those that change what is computed, and not where, how fast or how often it
is saved. A resume with others is refused setting by setting, instead of going on as a different run; what a person
allows to differ is recorded with the step from which it holds.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.engine.durable import write_text

_MISSING = "(not set)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting that differs, its values written as JSON."""

    setting: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.setting}: was {self.was}, is now {self.now}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What a person allowed to change in a run.

    Args:
        step: Optimizer steps that were saved by then.
        sha256: The identity before.
    """

    step: int
    sha256: str
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The immutable settings of a run, nested, as JSON values, and what was changed in them since its start."""

    settings: Mapping[str, Any]
    overrides: Sequence[Override] = ()

    @property
    def sha256(self) -> str:
        """The settings' fingerprint, the same for the same values in any order, however they came about."""
        return hashlib.sha256(canonical_json(self.settings).encode()).hexdigest()

    def continues(self, sha256: str) -> bool:
        """Whether a checkpoint of the run with this fingerprint may be continued."""
        return sha256 in {self.sha256, *(override.sha256 for override in self.overrides)}


def canonical_json(value: object) -> str:
    """Write a JSON value in the one way that does not depend on the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_identity(path: Path, identity: Identity) -> None:
    """Write identity.json in one step: a reader finds a whole file or none."""
    content: dict[str, Any] = {"sha256": identity.sha256, "settings": identity.settings}
    if identity.overrides:
        content["overrides"] = [asdict(override) for override in identity.overrides]
    partial = path.with_name(path.name + ".partial")
    write_text(partial, json.dumps(content, indent=1) + "\n")
    partial.replace(path)


def read_identity(path: Path) -> Identity:
    """Read what `write_identity` wrote.

    Raises:
        ValueError: If the file was changed by hand or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        overrides = tuple(_override(override) for override in content.get("overrides", ()))
        identity = Identity(settings=content["settings"], overrides=overrides)
        intact = identity.sha256 == content["sha256"]
    except (ValueError, TypeError, KeyError, AttributeError):
        intact = False
    if not intact:
        raise ValueError(f"{path} has other content than was written; give the run another name")
    return identity


def overridden(recorded: Identity, current: Identity, *, step: int) -> Identity:
    """Return the current identity with the run's history, and with what differs now as its newest entry.

    Args:
        step: Optimizer steps that are saved.
    """
    found = differences(recorded, current)
    newest = (Override(step=step, sha256=recorded.sha256, changes=found),) if found else ()
    return Identity(settings=current.settings, overrides=(*recorded.overrides, *newest))


def require_same(
    recorded: Identity,
    current: Identity,
    run_folder: Path,
    *,
    reasons: Mapping[str, str] | None = None,
    allowed: Collection[str] = (),
) -> None:
    """Refuse to continue a run with other settings.

    Args:
        reasons: By a setting's dotted name, why it of all things cannot change, for people who would expect it to.
        allowed: Dotted names that may differ, with everything below them.

    Raises:
        ValueError: One line for each setting that differs.
    """
    found = [change for change in differences(recorded, current) if not is_covered(change.setting, allowed)]
    if found:
        explained = [reason for name, reason in (reasons or {}).items() if name in {one.setting for one in found}]
        raise ValueError(
            f"{run_folder} was started with other settings; set them back, or give this run another name\n"
            + "\n".join([*(f"  {change}" for change in found), *explained])
        )


def is_covered(setting: str, names: Collection[str]) -> bool:
    """Whether a dotted name is one of `names`, or below one."""
    return any(f"{setting}.".startswith(f"{name}.") for name in names)


def changes(recorded: Identity, current: Identity) -> list[str]:
    """Return an indented line for each setting that differs, by name."""
    return [f"  {change}" for change in differences(recorded, current)]


def differences(recorded: Identity, current: Identity) -> list[Change]:
    """Return each setting that differs, by name."""
    before, after = dict(_flat(recorded.settings)), dict(_flat(current.settings))
    found = [
        Change(setting=name, was=before.get(name, _MISSING), now=after.get(name, _MISSING))
        for name in sorted(before.keys() | after.keys())
    ]
    return [change for change in found if change.was != change.now]


def dotted_settings(identity: Identity) -> list[str]:
    """Return the dotted names of an identity's settings."""
    return [name for name, _ in _flat(identity.settings)]


def _override(content: Mapping[str, Any]) -> Override:
    return Override(**{**content, "changes": [Change(**change) for change in content["changes"]]})


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and their values as JSON."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", canonical_json(value)
