"""Commands that take files by position, as other tools do: their words become settings before Hydra sees them."""

import re
from collections.abc import Mapping, Sequence

# Per command, the settings that words without a name become, in order. Such a command has no others.
POSITIONAL: Mapping[str, tuple[str, ...]] = {"verify": ("npz", "expected")}
_PLACES = {"npz": "CHECKPOINT.npz", "expected": "EXPECTED.npz"}
# Per command, the setting that all words without a name become together.
COLLECTED: Mapping[str, str] = {"report": "folders"}

_SETTING = re.compile(r"([+~]*[\w.@]+)=")


def as_settings(command: str, words: Sequence[str]) -> list[str]:
    """Give the words of a command line their names; commands without positions get theirs back.

    Raises:
        ValueError: If there are too many, one is given twice, or a setting is not the command's.
    """
    if command in COLLECTED:
        return _collected(COLLECTED[command], words)
    if command in POSITIONAL:
        return _in_order(command, POSITIONAL[command], words)
    return list(words)


def _in_order(command: str, names: Sequence[str], words: Sequence[str]) -> list[str]:
    usage = f"finetune {command} {' '.join(_PLACES[name] for name in names)}"
    given = [(_name(word), word) for word in words]
    for name, word in given:
        if name is not None and name not in names:
            raise ValueError(f"{word}: there is no setting {name} here; write {usage}")
    free = [name for name in names if name not in (named for named, _ in given)]
    settings = [word for name, word in given if name is not None]
    paths = [word for name, word in given if name is None]
    if len(paths) > len(free):
        raise ValueError(f"{paths[len(free)]}: there is one file too many; write {usage}")
    return [*settings, *(f"{name}={_quoted(path)}" for name, path in zip(free, paths, strict=False))]


def _collected(name: str, words: Sequence[str]) -> list[str]:
    settings = [word for word in words if _name(word) is not None]
    paths = [_quoted(word) for word in words if _name(word) is None]
    if paths and name in map(_name, settings):
        raise ValueError(
            f"{name}= and words without a name were given: write all of them without, or all in {name}=[...]"
        )
    return [*settings, *([f"{name}=[{','.join(paths)}]"] if paths else [])]


def _name(word: str) -> str | None:
    match = _SETTING.match(word)
    return match[1] if match else None


def _quoted(path: str) -> str:
    """Put a path between quotes, so that Hydra's grammar sees none of the characters that mean something to it."""
    return "'" + path.replace("\\'", "\\\\'").replace("'", "\\'") + "'"
