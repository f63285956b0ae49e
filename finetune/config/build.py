"""From plain mappings to our dataclasses: names, types and ranges checked, every refusal with the setting's full name.

A mapping with `_target_` is a choice and names its own dataclass:

    optimizer: {_target_: finetune.engine.optimizer.AdamW, learning_rate: 1e-4}   ->   AdamW(learning_rate=0.0001)

This replaces `hydra.utils.instantiate`, which calls anything importable: a target here must be a dataclass inside
`PACKAGES` or a package that the user listed in `plugins`.
"""

import dataclasses
import importlib
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import BooleanNode, EnumNode, FloatNode, IntegerNode, OmegaConf, StringNode, ValueNode
from omegaconf.errors import OmegaConfBaseException

from finetune.names import hint
from finetune.published import DataCard

PACKAGES = ("finetune", "recipes", "datasets_adapters")
TARGET = "_target_"
MISSING = "???"

T = TypeVar("T")

_NODES: dict[type, Callable[..., ValueNode]] = {bool: BooleanNode, int: IntegerNode, float: FloatNode, str: StringNode}


def build(node: Mapping[str, Any], *, path: str, packages: Sequence[str]) -> Any:
    """Make the object that a choice's mapping names.

    Args:
        node: The choice's settings with `_target_`.
        path: Its dotted name, for messages: "optimizer".
        packages: Top-level packages that `_target_` may name.

    Raises:
        ValueError: If the target is not allowed, or a setting is unknown, missing, of the wrong type or out of range.
    """
    settings = {key: value for key, value in node.items() if key != TARGET}
    return construct(_target_class(node[TARGET], path, packages), settings, path=path, packages=packages)


def construct(cls: type[T], settings: Mapping[str, Any], *, path: str, packages: Sequence[str]) -> T:
    """Make a `cls` of plain settings; fields that they leave out keep their defaults. Raises as `build`."""
    known = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            raise ValueError(f"unknown setting {_join(path, key)}; {_unknown_hint(path, key, known)}")
    annotations = get_type_hints(cls)
    arguments = {}
    for name, field in known.items():
        if settings.get(name) == MISSING or (name not in settings and _is_required(field)):
            raise ValueError(f"{_join(path, name)} must be given: {_meaning(cls, name)}{_published_by(cls)}")
        if name in settings:
            arguments[name] = _convert(annotations[name], settings[name], _join(path, name), packages)
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ValueError(_located(str(error), path, known)) from error


def wrong_type(path: str, annotation: Any, value: object) -> str:
    """Say which type a setting has and what it was given."""
    return f"{path} must be {describe(annotation)}, got {value!r}"


def describe(annotation: Any) -> str:
    """Say a field's type as a user writes its values."""
    inner, is_optional = _strip_optional(annotation)
    if isinstance(inner, type) and issubclass(inner, Enum):
        text = "one of " + ", ".join(member.name for member in inner)
    elif get_origin(inner) is list:
        text = "a list such as [a,b]"
    elif get_origin(inner) is dict or dataclasses.is_dataclass(inner):
        text = "a group of settings"
    else:
        text = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(inner, str(inner))
    return f"{text} or null" if is_optional else text


def _target_class(target: object, path: str, packages: Sequence[str]) -> type[Any]:
    setting = f"{path}.{TARGET}"
    module_name, _, class_name = str(target).rpartition(".")
    package = module_name.partition(".")[0]
    if package not in packages:
        raise ValueError(
            f"{setting}={target} is outside {', '.join(packages)}; "
            f"if the package is yours and you trust it, add plugins=[{package or target}]"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(f"{setting}={target} needs the package {error.name!r}, which is not installed") from error
        raise ValueError(f"{setting}={target}: there is no module {error.name!r}") from error
    choices = [name for name, value in vars(module).items() if isinstance(value, type) and _is_local(value, module)]
    if not choices:
        raise ValueError(f"{setting}={target} is not a dataclass of {module_name}, which has none of its own")
    if class_name not in choices:
        raise ValueError(f"{setting}={target} is not a dataclass of {module_name}; {hint(class_name, choices)}")
    found: type[Any] = getattr(module, class_name)
    return found


def _is_local(value: type, module: types.ModuleType) -> bool:
    return dataclasses.is_dataclass(value) and value.__module__ == module.__name__


def _convert(annotation: Any, value: Any, path: str, packages: Sequence[str]) -> Any:
    inner, is_optional = _strip_optional(annotation)
    if value is None and (is_optional or inner is Any):
        return None
    if isinstance(value, Mapping):
        return _convert_mapping(inner, value, path, packages)
    if inner is Any:
        return value
    if get_origin(inner) is list and isinstance(value, list):
        (element,) = get_args(inner)
        return [_convert(element, item, f"{path}[{index}]", packages) for index, item in enumerate(value)]
    return _convert_leaf(inner, annotation, value, path)


def _convert_mapping(inner: Any, value: Mapping[str, Any], path: str, packages: Sequence[str]) -> Any:
    if TARGET in value:
        return build(value, path=path, packages=packages)
    if isinstance(inner, type) and dataclasses.is_dataclass(inner):
        return construct(inner, value, path=path, packages=packages)
    if inner is Any or get_origin(inner) is dict:
        element = get_args(inner)[1] if get_args(inner) else Any
        return {str(key): _convert(element, item, _join(path, str(key)), packages) for key, item in value.items()}
    raise ValueError(wrong_type(path, inner, dict(value)))


def _convert_leaf(inner: Any, annotation: Any, value: Any, path: str) -> Any:
    is_enum = isinstance(inner, type) and issubclass(inner, Enum)
    if value is None or not (is_enum or inner in _NODES):
        raise ValueError(wrong_type(path, annotation, value))
    try:
        node = EnumNode(enum_type=inner, value=value) if is_enum else _NODES[inner](value=value)
    except OmegaConfBaseException as error:
        raise ValueError(wrong_type(path, annotation, value)) from error
    converted = OmegaConf.create({"value": node})["value"]
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ValueError(f"{path} must be a finite number, got {value}")
    return converted


def _strip_optional(annotation: Any) -> tuple[Any, bool]:
    """Return the type without None, and whether None was allowed."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [member for member in get_args(annotation) if member is not type(None)]
        return (inner[0] if len(inner) == 1 else annotation), len(inner) < len(get_args(annotation))
    return annotation, False


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _unknown_hint(path: str, key: str, known: Mapping[str, object]) -> str:
    return hint(_join(path, key), [path, *(_join(path, name) for name in known)])


def _located(message: str, path: str, known: Mapping[str, object]) -> str:
    """Put the section's name before a rule of its dataclass: `label_smoothing must be...` or a whole sentence."""
    if not path or message.startswith(f"{path}."):
        return message
    first_word = re.split(r"\W", message, maxsplit=1)[0]
    return f"{path}.{message}" if first_word in known else f"{path}: {message}"


def _published_by(cls: type[Any]) -> str:
    """Say where a data set that somebody published is to be had, on a line of its own."""
    card = getattr(cls, "card", None)
    return f"\n{card.title} is to be had from {card.homepage} ({card.licence})" if isinstance(card, DataCard) else ""


def _meaning(cls: type[Any], name: str) -> str:
    """Return what the class's docstring says about a field, on one line; its type where it says nothing."""
    # One line may speak of several fields: "train_split, eval_split: ...".
    pattern = rf"^\s*(?:\w+, )*{name}(?:, \w+)*: (?P<text>.*(?:\n(?!\s*(?:\w+, )*\w+: |\s*$|\s*\w+:$).*)*)"
    match = re.search(pattern, cls.__doc__ or "", flags=re.MULTILINE)
    if match is None:
        return describe(get_type_hints(cls)[name])
    text = " ".join(match["text"].split())
    # In the middle of a sentence; an abbreviation stays as it is.
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
