"""What a command line gets wrong before its values are looked at, in one or two lines with the name that was meant."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, get_type_hints

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from finetune.config.build import wrong_type
from finetune.config.register import COMMANDS, register
from finetune.config.schema import RunConfig
from finetune.names import dotted_names, hint
from finetune.reporting.redaction import has_user_info, is_secret_name

# The nodes of the configuration that name one of a group's choices.
CHOICES = tuple(name for name, annotation in get_type_hints(RunConfig).items() if annotation is Any)


def check_overrides(words: Sequence[str], *, is_sweep: bool) -> None:
    """Refuse what Hydra would take for something else than the user means.

    Raises:
        ValueError: For several values without --multirun, a group without a choice, `+` before one, a removed setting,
            an address with a password, a value of a setting whose name says that it is secret.
    """
    for override in OverridesParser.create().parse_overrides(list(words)):
        key, text = override.package or override.key_or_group, override.input_line
        if has_user_info(str(text)):
            # The text itself stays unsaid: messages end up in logs.
            raise ValueError(
                f"{key}: an address with a user name or password would be kept in the run's folder; put it into the "
                f"environment and write {key}='${{oc.env:NAME}}'"
            )
        if is_secret_name(str(key).rpartition(".")[2]) and "${oc.env:" not in str(text):
            raise ValueError(
                f"{key}: what is typed here would be kept in the run's folder; put it into the environment and write "
                f"{key}='${{oc.env:NAME}}'"
            )
        if override.is_sweep_override():
            if not is_sweep:
                raise ValueError(f"{text} names several values: add --multirun to run each; a list is {key}=[...]")
        elif key in CHOICES and (override.is_add() or override.is_force_add()):
            raise ValueError(f"{text}: {key} has a choice already, which {str(text).lstrip('+')} replaces")
        elif override.is_delete() and (key in CHOICES or key.partition(".")[0] not in CHOICES):
            raise ValueError(f"{text}: no setting can be removed; give it another value, or null where that is allowed")
        elif key in CHOICES and not isinstance(override.value(), str):
            raise ValueError(f"{text}: {key} must name a choice; finetune train --help lists them")


def check_own(words: Sequence[str], own: Sequence[str]) -> None:
    """Refuse settings that are not a command's own, for one that has nothing to do with a run.

    Raises:
        ValueError: Naming the setting, and the one that was meant.
    """
    for override in _read(words):
        key = str(override.package or override.key_or_group)
        if key not in own and not key.startswith("hydra"):
            raise ValueError(f"unknown setting {key}; {hint(key, own)}")


def explain(error: Exception, command: str, overrides: Sequence[str], config_dir: str | None) -> str:
    """Return what the user did wrong.

    Args:
        error: What Hydra or OmegaConf raised while it composed `overrides` on the command's YAML.
        config_dir: The user's own `--config-dir`.
    """
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}: write name=value, and a text with symbols as 'name=\"a, b\"'"
    if missing_plus := re.match(r"Could not override '(\w+@[\w.]+)'", str(error)):
        return f"{missing_plus[1]}: nothing is chosen there yet; write +{missing_plus[1]}=<choice>"
    if isinstance(error, MissingConfigException) and "/" in str(error.missing_cfg_file):
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={choice}: there is no such choice; {hint(choice, error.options or ())}"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__ or error.__context__
    if isinstance(cause, ValidationError) and cause.full_key:
        return _explain_type(cause, command)
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return _explain_unknown(cause.full_key, command, overrides, config_dir)
    return " ".join(str(error).split("\n")[:2])


def known_settings(command: str, overrides: Sequence[str], config_dir: str | None = None) -> list[str]:
    """List every setting and group of a command by its dotted name, for the choices that `overrides` make."""
    register(command)
    with initialize_config_module("conf", version_base="1.3"):
        groups = GlobalHydra.instance().config_loader().list_groups("")
        choices = [str(override.input_line) for override in _read(overrides) if override.key_or_group in groups]
        search = [f"hydra.searchpath=[file://{config_dir}]"] if config_dir is not None else []
        try:
            composed = compose(command, [*search, *choices])
        except HydraException:
            composed = compose(command)
    settings = OmegaConf.to_container(composed)
    assert isinstance(settings, dict)
    names = dotted_names({str(key): value for key, value in settings.items()})
    return [*names, *(group for group in groups if group not in names and group != "hydra")]


def _explain_unknown(stopped_at: str, command: str, overrides: Sequence[str], config_dir: str | None) -> str:
    """Name the whole setting: Hydra stops at the first part of it that does not exist."""
    keys = [override.key_or_group for override in _read(overrides)]
    unknown = next((key for key in keys if f"{key}.".startswith(f"{stopped_at}.")), stopped_at)
    if stopped_at == "recipe.parts":
        return f"unknown setting {unknown}: only a mixture has parts; choose recipe=mixture, or another file of yours"
    return f"unknown setting {unknown}; {hint(unknown, known_settings(command, overrides, config_dir))}"


def _explain_type(error: ValidationError, command: str) -> str:
    """Name the type that a setting of a fixed section has; OmegaConf's own words tell of its classes."""
    full_key = str(error.full_key)
    if full_key == "resume":
        return f"resume is a group of settings: write resume.mode={error.value}"
    settings = COMMANDS[command]
    annotations = {**get_type_hints(RunConfig), **(get_type_hints(settings) if settings is not None else {})}
    annotation: Any = None
    for part in full_key.split("."):
        if part not in annotations:
            return f"{full_key}: {error.msg}"
        annotation = annotations[part]
        annotations = get_type_hints(annotation) if dataclasses.is_dataclass(annotation) else {}
    return wrong_type(full_key, annotation, error.value)


def _read(overrides: Sequence[str]) -> list[Override]:
    return list(OverridesParser.create().parse_overrides(list(overrides)))
