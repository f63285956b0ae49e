from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import pytest

from finetune.config.build import MISSING, PACKAGES, build, construct, describe
from finetune.published import DataCard
from finetune.settings import between


class Colour(Enum):
    red = "red"
    green = "green"


@dataclass(frozen=True, kw_only=True)
class Inner:
    """An inner choice.

    Args:
        size: How large it is,
            in pixels.
    """

    size: int


@dataclass(frozen=True, kw_only=True)
class Outer:
    share: float = 0.5
    name: str | None = None
    is_fast: bool = False
    colour: Colour = Colour.red
    labels: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    inner: Inner | None = None
    choice: Any = None

    def __post_init__(self) -> None:
        between("share", self.share, 0, 1)
        if self.name == "bad":
            raise ValueError("these two do not go together")


@dataclass(frozen=True, kw_only=True)
class Released:
    """A data set.

    Args:
        root: Folder with train.json.
        train_split, eval_split: Of train and val.
    """

    card: ClassVar[DataCard] = DataCard(
        title="Owls", homepage="https://owls.example", licence="CC BY 4.0", counts={"train": 2}, counts_source="it"
    )

    root: str
    train_split: str = "train"
    eval_split: str = MISSING


def make(**settings: Any) -> Outer:
    made = construct(Outer, settings, path="outer", packages=PACKAGES)
    assert isinstance(made, Outer)
    return made


def test_values_get_their_types() -> None:
    made = make(share=1, colour="green", labels=["a", 3], weights={"a": "0.5"}, is_fast="true", name=7)
    assert made == Outer(share=1.0, colour=Colour.green, labels=["a", "3"], weights={"a": 0.5}, is_fast=True, name="7")


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"outer.weights.a must be a finite number"):
        make(weights={"a": text})


def test_what_is_left_out_keeps_its_default() -> None:
    assert make() == Outer()


def test_a_nested_dataclass_is_made_of_its_own_settings() -> None:
    assert make(inner={"size": "3"}).inner == Inner(size=3)


def test_choices_are_built_wherever_a_mapping_names_one() -> None:
    target = "finetune.settings.PartFlags"
    made = make(choice={"_target_": target, "decoder": True}, parts={"a": {"_target_": target}, "b": {"c": 3}})
    assert made.choice.decoder is True
    assert made.parts["a"].decoder is False
    assert made.parts["b"] == {"c": 3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shre": 1}, r"unknown setting outer\.shre; did you mean outer\.share\?"),
        ({"inner": {"sise": 1}}, r"unknown setting outer\.inner\.sise; did you mean outer\.inner\.size\?"),
        ({"inner": {}}, r"outer\.inner\.size must be given: how large it is, in pixels\."),
        ({"inner": {"size": MISSING}}, r"outer\.inner\.size must be given"),
        ({"share": "much"}, r"outer\.share must be a number, got 'much'"),
        ({"share": None}, r"outer\.share must be a number, got None"),
        ({"share": 2}, r"outer\.share must be between 0 and 1, got 2\.0"),
        ({"share": float("nan")}, r"outer\.share must be a finite number, got nan"),
        ({"name": "bad"}, r"outer: these two do not go together"),
        ({"colour": "blue"}, r"outer\.colour must be one of red, green, got 'blue'"),
        ({"labels": "a"}, r"outer\.labels must be a list such as \[a,b\], got 'a'"),
        ({"labels": [["a"]]}, r"outer\.labels\[0\] must be text"),
        ({"weights": {"a": "x"}}, r"outer\.weights\.a must be a number, got 'x'"),
        ({"weights": 3}, r"outer\.weights must be a group of settings, got 3"),
        ({"share": {"a": 1}}, r"outer\.share must be a number, got \{'a': 1\}"),
        ({"inner": 3}, r"outer\.inner must be a group of settings or null, got 3"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_full_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make(**settings)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os.system", "is outside finetune, recipes, datasets_adapters; .*plugins=\\[os\\]"),
        ("finetune.nowhere.Thing", "there is no module 'finetune.nowhere'"),
        ("finetune.settings.PartFlag", "did you mean PartFlags"),
        ("finetune.settings.at_least", "is not a dataclass"),
        ("finetune.settings.Enum", "is not a dataclass"),
        ("PartFlags", "is outside"),
        ("", "is outside"),
        (3, "is outside"),
    ],
)
def test_only_dataclasses_of_named_packages_are_targets(target: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build({"_target_": target}, path="model", packages=PACKAGES)


def test_a_package_of_the_users_own_is_allowed_when_listed() -> None:
    node = {"_target_": "fractions.Fraction"}
    with pytest.raises(ValueError, match="is outside"):
        build(node, path="recipe", packages=PACKAGES)
    with pytest.raises(ValueError, match="is not a dataclass"):
        build(node, path="recipe", packages=(*PACKAGES, "fractions"))


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "a whole number"),
        (float | None, "a number or null"),
        (bool, "true or false"),
        (Colour, "one of red, green"),
        (list[str], "a list such as [a,b]"),
        (Inner, "a group of settings"),
    ],
)
def test_types_are_said_in_plain_words(annotation: Any, text: str) -> None:
    assert describe(annotation) == text


def test_a_missing_setting_of_a_published_data_set_says_where_to_get_it() -> None:
    with pytest.raises(ValueError, match="root must be given") as caught:
        construct(Released, {"root": MISSING}, path="dataset", packages=PACKAGES)
    assert str(caught.value) == (
        "dataset.root must be given: folder with train.json.\nOwls is to be had from https://owls.example (CC BY 4.0)"
    )


def test_one_line_of_a_docstring_may_tell_of_several_settings() -> None:
    with pytest.raises(ValueError, match=r"dataset\.eval_split must be given: of train and val\."):
        construct(Released, {"root": "here", "eval_split": MISSING}, path="dataset", packages=PACKAGES)
