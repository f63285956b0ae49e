"""A run's own command line, kept in its folder and put before that of a later command.

`finetune evaluate run=runs/cells dataset=coco` starts from everything that `runs/cells` was trained with, except its
data set: a group chosen again takes the stored settings below it along.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

OVERRIDES_FILE = "overrides.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What a run was started with.

    Args:
        overrides: The settings, as typed.
        config_dir: The absolute path of the user's own choices (`--config-dir`), where there are any.
        experiment: The experiment that they chose, if they chose one.
    """

    overrides: tuple[str, ...]
    config_dir: str | None = None
    experiment: str | None = None


def save_command_line(folder: Path, line: CommandLine) -> None:
    """Write what made a run into its folder."""
    text = json.dumps({"command": "train", **asdict(line)}, indent=2)
    (folder / OVERRIDES_FILE).write_text(text + "\n", encoding="utf-8")


def replayed(overrides: Sequence[str], config_dir: str | None = None) -> list[str]:
    """Put the stored overrides of the run that `run=<folder>` names before `overrides`; without `run=`, change nothing.

    The run's name and place come from the folder, so that a run may be moved.

    Args:
        config_dir: The `--config-dir` of this command line.

    Raises:
        ValueError: If the folder is not a run's, its file is not what `save_command_line` wrote, or the run was made
            with a `--config-dir` and this command line has none.
    """
    given = _parse(overrides)
    folder_text = next((override.value() for override in given if override.key_or_group == "run"), None)
    if folder_text is None:
        return list(overrides)
    folder = _named(Path(str(folder_text)))
    line = _load(folder)
    if line.config_dir is not None and config_dir is None:
        # Not taken from the file: the YAML of a config folder can name code for Hydra to call.
        raise ValueError(
            f"run={folder} was made with --config-dir {line.config_dir}; add that to this command line, or where the "
            "folder is now"
        )
    given_again = {_place(override) for override in given} | {"name", "runs"}
    stored = [override for override in _parse(line.overrides) if not _is_within(_place(override), given_again)]
    for override in stored:
        # A run's folder may come from someone else, and Hydra's own settings can name code to call.
        if _place(override).startswith("hydra") or override.key_or_group.startswith("hydra"):
            raise ValueError(f"{folder / OVERRIDES_FILE} sets {override.input_line}; a stored run may not change Hydra")
        # Nor name the packages that are imported: that is said anew each time, as --config-dir is.
        if _place(override) == "plugins":
            raise ValueError(f"run={folder} was made with {override.input_line}; add that if you trust the packages")
    own_folder = [f"runs={quoted(str(folder.parent))}", f"name={quoted(folder.name)}"]
    return [*(str(override.input_line) for override in stored), *own_folder, *overrides]


def quoted(value: str) -> str:
    """Write any text as a value of Hydra's grammar."""
    # In a quoted string a backslash only escapes where a quote follows; one at the end would swallow the closing quote.
    if value.endswith("\\"):
        raise ValueError(f"a value cannot end in a backslash, got {value!r}")
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return f"'{escaped}'"


def _parse(overrides: Sequence[str]) -> list[Override]:
    return list(OverridesParser.create().parse_overrides(list(overrides)))


def _named(folder: Path) -> Path:
    """Return a folder by a path that ends in its own name, which `.` and `runs/first/..` do not."""
    return folder if folder.name not in ("", "..") else folder.resolve()


def _load(folder: Path) -> CommandLine:
    file = folder / OVERRIDES_FILE
    if not folder.is_dir():
        raise ValueError(f"run={folder}: there is no such folder; give the folder of a run, such as run=runs/<name>")
    if not file.is_file():
        raise ValueError(f"run={folder}: the folder holds no {OVERRIDES_FILE}, so it is not the folder of a run")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        overrides, config_dir = content["overrides"], content.get("config_dir")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: it must hold a list called overrides") from error
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise ValueError(f"{file} is damaged: overrides must be a list of texts")
    if not isinstance(config_dir, str | None):
        raise ValueError(f"{file} is damaged: config_dir must be a text or null")
    return CommandLine(overrides=tuple(overrides), config_dir=config_dir)


def _place(override: Override) -> str:
    """Return where in the configuration an override lands: `dataset@recipe.parts.ocr.dataset=voc` in the recipe."""
    return override.package or override.key_or_group


def _is_within(place: str, sections: set[str]) -> bool:
    return any(f"{place}.".startswith(f"{section}.") for section in sections)
