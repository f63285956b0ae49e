"""Keeping passwords and keys out of everything that a run writes down or sends.

No setting of this project holds a secret, but a path may (`https://user:password@host`), a plug-in's field may, and a
value may have been copied from the environment. Field names are compared whole: `num_memory_tokens` is no token.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

_HIDDEN = "<hidden>"
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_FIELDS = re.compile(
    r"(?:.*_)?(?:password|passwd|secret|api_?key|access_?key|secret_?key|private_?key|auth_?token|access_?token|hf_?token)"
    r"|token|credentials?",
    re.IGNORECASE,
)
_SECRET_VARIABLES = re.compile(r".*(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)", re.IGNORECASE)
# Shorter values of such variables ("1", "true", a path's stem) are words, and would blank out half of every text.
_SHORTEST_SECRET = 8


def secrets_of(config: object) -> list[str]:
    """Return the values of the fields of a nested configuration whose names say that they are secret."""
    match config:
        case Mapping():
            own = [str(value) for name, value in config.items() if _is_secret(str(name), value)]
            return own + [secret for value in config.values() for secret in secrets_of(value)]
        case list() | tuple():
            return [secret for value in config for secret in secrets_of(value)]
    return []


def is_secret_name(name: str) -> bool:
    """Whether a setting's own name says that its value is secret."""
    return _SECRET_FIELDS.fullmatch(name) is not None


def has_user_info(text: str) -> bool:
    """Whether a text holds an address with a user name or password, as in `https://user:password@host`."""
    return _USER_INFO.search(text) is not None


def redact_text(text: str, secrets: Sequence[str] = ()) -> str:
    """Hide `secrets`, user names and passwords in addresses, and the environment's secret variables."""
    text = _USER_INFO.sub(f"{_HIDDEN}@", text)
    for secret in sorted([*secrets, *_environment_secrets()], key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def redact(value: Any, secrets: Sequence[str] = ()) -> Any:
    """Hide the same in every text of a nested value; what holds none comes back equal."""
    match value:
        case str():
            return redact_text(value, secrets)
        case Mapping():
            return {key: redact(member, secrets) for key, member in value.items()}
        case list() | tuple():
            return [redact(member, secrets) for member in value]
    return value


def _is_secret(name: str, value: object) -> bool:
    return isinstance(value, str) and value != "" and is_secret_name(name)


def _environment_secrets() -> list[str]:
    named = [value for name, value in os.environ.items() if _SECRET_VARIABLES.fullmatch(name)]
    return [value for value in named if len(value) >= _SHORTEST_SECRET]
