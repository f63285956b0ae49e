"""Prefix templates: text with named placeholders, such as "answer {language} {question}"."""

from collections.abc import Collection
from string import Formatter


def check_template(setting: str, template: str, known: Collection[str]) -> None:
    """Refuse a template that `str.format` could not fill with the known placeholders alone.

    Raises:
        ValueError: If a brace is not closed, or a placeholder is unknown or carries a format of its own.
    """
    names = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{setting}: {error} in {template!r}; write {{{{ for a literal brace") from error
    for _, name, specification, conversion in parts:
        if name is not None and (name not in known or specification or conversion):
            raise ValueError(f"{setting}: unknown placeholder {{{name}}} in {template!r}; known: {names}")


def uses(template: str, name: str) -> bool:
    """Whether the template has this placeholder."""
    return any(field == name for _, field, _, _ in Formatter().parse(template))
