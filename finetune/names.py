"""Near misses: the known names that a person most likely meant.

    trainng.max_steps  -> training.max_steps
    learning_rate, lr  -> optimizer.learning_rate
    batch_size         -> evaluation.batch_size, training.micro_batch_size, training.global_batch_size
    detektion          -> detection

Settings are dotted names; names of choices and commands have no dots.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping

_CUTOFF = 0.6
_MOST = 3


def near(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that `name` may stand for, the likeliest first; none where nothing is near."""
    candidates = sorted(known)
    section, _, last = name.rpartition(".")
    if misplaced := [candidate for candidate in candidates if _last(candidate) == last]:
        longer = [] if section else [candidate for candidate in candidates if f"_{last}_" in f"_{_last(candidate)}_"]
        return _closest(name, {*misplaced, *longer}, cutoff=0.0)
    if section in candidates:
        # The shared section would make every one of its settings look similar.
        siblings = [candidate for candidate in candidates if candidate.rpartition(".")[0] == section]
        return _closest(last, siblings, key=_last) or _abbreviated(last, siblings)
    return _closest(name, candidates) or _abbreviated(last, candidates)


def hint(name: str, known: Iterable[str]) -> str:
    """Say the near misses, or list what there is beside `name` where nothing is near."""
    candidates = sorted(known)
    if suggestions := near(name, candidates):
        return f"did you mean {' or '.join(suggestions)}?"
    section = name.rpartition(".")[0]
    while section and section not in candidates:
        section = section.rpartition(".")[0]
    beside = [candidate for candidate in candidates if candidate.rpartition(".")[0] == section and candidate]
    return f"known: {', '.join(beside or candidates)}"


def dotted_names(settings: Mapping[str, object], prefix: str = "") -> list[str]:
    """List every setting of a nested mapping by its dotted name, sections included."""
    names = []
    for key, value in settings.items():
        names.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            names.extend(dotted_names({str(inner): value[inner] for inner in value}, f"{prefix}{key}."))
    return names


def _closest(
    name: str, candidates: Iterable[str], *, cutoff: float = _CUTOFF, key: Callable[[str], str] = str
) -> list[str]:
    by_key = {key(candidate): candidate for candidate in sorted(candidates)}
    return [by_key[found] for found in difflib.get_close_matches(name, by_key, n=_MOST, cutoff=cutoff)]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _abbreviated(initials: str, candidates: Iterable[str]) -> list[str]:
    """Find `learning_rate` by `lr`."""
    return [name for name in candidates if "".join(word[:1] for word in _last(name).split("_")) == initials][:_MOST]
