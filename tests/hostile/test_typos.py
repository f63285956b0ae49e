"""Every misspelt setting is refused before a weight is read, and the one that was meant is named first."""

import dataclasses
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pytest
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from finetune import cli
from finetune.config.build import MISSING, PACKAGES, TARGET, build, construct
from finetune.config.mistakes import CHOICES, known_settings
from finetune.config.register import register
from finetune.config.schema import RunConfig
from finetune.names import hint

CONF = Path(__file__).parents[2] / "conf"
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
    for row in _KEYBOARD
    for place, letter in enumerate(row)
}
_PER_NAME = 7
_SECONDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A mapping of settings and how it is checked: a section, a choice's file, or the whole run's."""

    path: str
    settings: Mapping[str, Any]
    cls: type[Any] | None

    def check(self, settings: Mapping[str, Any]) -> None:
        """Let the validator have settings in the place of these."""
        if self.cls is None:
            build(settings, path=self.path, packages=PACKAGES)
        else:
            construct(self.cls, settings, path=self.path, packages=PACKAGES)


def test_two_thousand_typos_are_refused_and_nine_in_ten_are_understood() -> None:
    chance = random.Random(0)
    tried = found = 0
    for place in _places():
        known = [name for name in place.settings if name != TARGET]
        for name in known:
            wrong = [typo for typo in _typos(name, chance) if typo not in place.settings]
            for typo in chance.sample(wrong, min(len(wrong), _PER_NAME)):
                settings = {(typo if key == name else key): value for key, value in place.settings.items()}
                start = time.process_time()
                with pytest.raises(ValueError, match="unknown setting") as refusal:
                    place.check(settings)
                assert time.process_time() - start < _SECONDS
                meant = f"{place.path}.{name}" if place.path else name
                tried += 1
                found += _suggested(str(refusal.value)) == meant
    assert tried >= 2000
    assert found >= 0.9 * tried


def test_typos_in_choices_are_understood() -> None:
    chance = random.Random(0)
    outcomes = []
    for group in CHOICES:
        options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
        for option in options:
            wrong = [typo for typo in _typos(option, chance) if typo not in options]
            outcomes += [_suggested(hint(typo, options)) == option for typo in chance.sample(wrong, min(len(wrong), 4))]
    assert len(outcomes) >= 100
    assert sum(outcomes) >= 0.9 * len(outcomes)


def test_typos_among_the_values_of_a_setting_are_refused_with_what_there_is() -> None:
    chance = random.Random(0)
    count = 0
    for place, name, annotation in _fields():
        members = getattr(annotation, "__members__", None)
        for member in members or ():
            typo = chance.choice([typo for typo in _typos(member, chance) if typo not in members] or [f"{member}x"])
            with pytest.raises(ValueError, match=rf"{name} must be one of .*\b{re.escape(member)}\b"):
                place.check({**place.settings, name: typo})
            count += 1
    assert count >= 40


def test_every_setting_refuses_a_value_of_another_type() -> None:
    count = 0
    for place, name, annotation in _fields():
        if annotation in (int, float, bool):
            with pytest.raises(ValueError, match=rf"{name} must be (a whole number|a number|true or false)"):
                place.check({**place.settings, name: "many"})
            count += 1
        if get_origin(annotation) is not dict:
            with pytest.raises(ValueError, match=rf"\b{name} must be"):
                place.check({**place.settings, name: {"of": "another kind"}})
    assert count >= 80


def test_the_command_line_refuses_a_hundred_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune"])
    known = _known_once(monkeypatch)
    chance = random.Random(1)
    names = chance.sample([name for name in known if TARGET not in name], 100)
    found = 0
    for number, name in enumerate(names):
        typo = chance.choice(
            [typo for typo in _typos(name, chance) if typo not in known and "." not in (typo[0], typo[-1])]
        )
        word = f"{('', '+', '++')[number % 3]}{typo}=1"
        start = time.process_time()
        assert cli.run(["train", word]) == 2, word
        assert time.process_time() - start < _SECONDS
        printed = capsys.readouterr().err
        assert printed.startswith("finetune train: "), printed
        assert typo.partition(".")[0] in printed
        # What `+` adds is refused by the part of the name that is wrong, which may be the section's.
        found += f"{name}.".startswith(f"{_suggested(printed)}.")
    assert found >= 90


@pytest.mark.parametrize(
    "word", ["+unknown=1", "++unknown=1", "+training.unknown=1", "+optimizer.unknown=1", "unknown=1"]
)
def test_what_nobody_knows_cannot_be_added(
    word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune"])
    assert cli.run(["train", word]) == 2
    assert f"unknown setting {word.lstrip('+').partition('=')[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["training.epochs=1"], "set exactly one of max_steps and epochs"),
        (["training.global_batch_size=3", "training.micro_batch_size=2"], "must be a multiple of"),
        (["training.precision=bf16", "data.row_tokens=1"], "data.row_tokens (1) must exceed"),
        (["evaluation.patience=1"], "patience needs best_metric"),
        (["data.resize=hf", "data.antialias=false"], "antialias=false has no effect with resize=hf"),
        (["checkpoint.keep_last=1"], "must be at least 2"),
        (["peft=none", "peft.rank=4"], "unknown setting peft.rank"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune"])
    assert cli.run(["train", *words]) == 2
    assert answer in capsys.readouterr().err


def _typos(name: str, chance: random.Random) -> list[str]:
    """Drop, swap, double and substitute each letter of a name."""
    typos = []
    for place, letter in enumerate(name):
        if not letter.isalpha():
            continue
        before, after = name[:place], name[place + 1 :]
        typos += [before + after, before + 2 * letter + after]
        if after[:1].isalpha() and after[0] != letter:
            typos.append(before + after[0] + letter + after[1:])
        typos.append(before + chance.choice(_NEIGHBOURS.get(letter.lower(), "x")) + after)
    return [typo for typo in typos if typo and typo != name]


def _suggested(message: str) -> str:
    """Return the first name that a message suggests."""
    match = re.search(r"did you mean ([\w.-]+?)(?: or |\?)", message)
    return match[1] if match else ""


@cache
def _places() -> tuple[Place, ...]:
    """Return every mapping of settings that there is: the run's, its sections, and each choice's file."""
    run = _defaults("train")
    sections = [
        Place(path=name, settings=run[name], cls=annotation)
        for name, annotation in get_type_hints(RunConfig).items()
        if dataclasses.is_dataclass(annotation)
    ]
    return (Place(path="", settings=run, cls=RunConfig), *sections, *_choices())


def _choices() -> Iterator[Place]:
    for group in CHOICES:
        for path in sorted((CONF / group).glob("*.yaml")):
            content = yaml.safe_load(path.read_text())
            if isinstance(content, dict) and TARGET in content:
                yield Place(path=group, settings=_given(content), cls=None)


def _given(content: Mapping[str, Any]) -> dict[str, Any]:
    """Put a word where a file asks for one, and leave out what refers to another setting."""
    words = {name: "x" if value == MISSING else value for name, value in content.items()}
    return {name: value for name, value in words.items() if name != "defaults" and "${" not in str(value)}


def _fields() -> Iterator[tuple[Place, str, Any]]:
    """Yield every setting with its type, without null."""
    for place in _places():
        cls = place.cls or _class(place.settings[TARGET])
        for name, annotation in get_type_hints(cls).items():
            inner = [part for part in getattr(annotation, "__args__", ()) if part is not type(None)]
            is_optional = type(None) in getattr(annotation, "__args__", ())
            kind = inner[0] if is_optional and len(inner) == 1 else annotation
            if kind is not Any and not dataclasses.is_dataclass(kind) and name in place.settings:
                yield place, name, kind


def _class(target: str) -> type[Any]:
    module, _, name = target.rpartition(".")
    return getattr(sys.modules.get(module) or __import__(module, fromlist=[name]), name)  # type: ignore[no-any-return]


def _defaults(command: str) -> dict[str, Any]:
    register(command)
    with initialize_config_module("conf", version_base="1.3"):
        return OmegaConf.to_container(compose(command), resolve=True)  # type: ignore[return-value]


def _known_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the settings once for all: each mistake would compose them anew."""
    known = known_settings("train", [])
    monkeypatch.setattr("finetune.config.mistakes.known_settings", lambda *_: known)
    return known
