"""Prefix templates."""

import pytest

from finetune.tokens.template import check_template, uses


@pytest.mark.parametrize("template", ["", "ocr", "caption {language}", "{{literal}} {language}"])
def test_templates_with_known_placeholders_are_accepted(template: str) -> None:
    check_template("prefix", template, ("language",))
    template.format(language="en")


@pytest.mark.parametrize("template", ["{langauge}", "{}", "{0}", "{language.real}", "{language[0]}", "{language!r}"])
def test_unknown_placeholders_are_refused_with_the_known_ones(template: str) -> None:
    with pytest.raises(ValueError, match=r"prefix: unknown placeholder .*known: \{language\}"):
        check_template("prefix", template, ("language",))


def test_placeholders_with_a_format_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown placeholder"):
        check_template("prefix", "{language:>999}", ("language",))


@pytest.mark.parametrize("template", ["caption {language", "caption }"])
def test_stray_braces_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"prefix: .*literal brace"):
        check_template("prefix", template, ("language",))


def test_uses_tells_whether_a_placeholder_is_there() -> None:
    assert uses("answer {question}", "question")
    assert not uses("{{question}}", "question")
