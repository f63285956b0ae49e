"""What the jobs of one sweep have in common: a name, and what tells them apart."""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from finetune.config.naming import digest

# What says where, how and with what company jobs run: a sweep stays the same sweep with other values of it.
_HOW = ("hydra", "tracking", "runs")


def sweep_name(overrides: Sequence[str]) -> str:
    """Name a sweep after `name=...`, or after all that its jobs train with: typed again, it has the same name."""
    given = [override for override in _parse(overrides) if override.key_or_group == "name"]
    if given and not given[-1].is_sweep_override() and given[-1].value() is not None:
        return str(given[-1].value())
    return f"sweep-{digest(' '.join(decisive(overrides)))}"


def decisive(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that decide what is trained, in an order of their own."""
    kept = [one for one in _parse(overrides) if str(one.key_or_group).replace("/", ".").split(".")[0] not in _HOW]
    return sorted(str(override.input_line) for override in kept)


def varied_keys(overrides: Sequence[str]) -> frozenset[str]:
    """Return what a sweep varies, as it stands before the equals sign."""
    return frozenset(override.get_key_element() for override in _parse(overrides) if override.is_sweep_override())


def chosen(group: str, overrides: Sequence[str]) -> str | None:
    """Return what the words choose of a group, such as `hydra/launcher`; None: nothing."""
    found = [override.value() for override in _parse(overrides) if override.key_or_group == group]
    return str(found[-1]) if found else None


def is_given(key: str, overrides: Sequence[str]) -> bool:
    """Whether a setting stands among the words."""
    return any(override.key_or_group == key for override in _parse(overrides))


def fixed(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that every job shares."""
    return [str(override.input_line) for override in _parse(overrides) if not override.is_sweep_override()]


def _parse(overrides: Sequence[str]) -> list[Override]:
    return list(OverridesParser.create().parse_overrides(list(overrides)))
