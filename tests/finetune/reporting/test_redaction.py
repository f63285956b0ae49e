"""Secrets, and what only looks like one."""

import pytest

from finetune.reporting.redaction import has_user_info, is_secret_name, redact, redact_text, secrets_of


def test_user_and_password_leave_an_address() -> None:
    assert redact_text("from https://me:canary@host/a and s3://key@bucket") == (
        "from https://<hidden>@host/a and s3://<hidden>@bucket"
    )


@pytest.mark.parametrize("text", ["https://me:canary@host/a", "root=ssh://me@host", "x s3://key:canary@bucket"])
def test_an_address_with_user_information_is_recognised(text: str) -> None:
    assert has_user_info(text)


def test_the_name_of_a_setting_tells_whether_it_is_secret() -> None:
    assert is_secret_name("access_token")
    assert not is_secret_name("num_memory_tokens")


@pytest.mark.parametrize("text", ["https://host/a@b", "me@host", "hf://datasets/me/cells@main", "prefix='who: @me'"])
def test_an_at_sign_elsewhere_is_no_user_information(text: str) -> None:
    assert not has_user_info(text)


def test_the_value_of_a_secret_variable_is_hidden_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "canary-0123456789")
    monkeypatch.setenv("HF_TOKEN", "hf_canary_0123456789_and_more")
    config = {"a": ["x canary-0123456789 y"], "b": {"c": "hf_canary_0123456789_and_more"}}
    assert redact(config) == {"a": ["x <hidden> y"], "b": {"c": "<hidden>"}}


def test_a_short_value_of_a_secret_variable_is_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TOKEN", "true")
    assert redact_text("is it true") == "is it true"


@pytest.mark.parametrize("name", ["password", "db_password", "token", "hf_token", "api_key", "apikey", "client_secret"])
def test_the_value_of_a_secret_field_is_hidden_everywhere(name: str) -> None:
    config = {"plugin": [{name: "canary"}], "note": "canary again"}
    assert secrets_of(config) == ["canary"]
    assert redact(config, secrets_of(config)) == {"plugin": [{name: "<hidden>"}], "note": "<hidden> again"}


@pytest.mark.parametrize(
    "name", ["num_memory_tokens", "tokens", "image_token_id", "keyboard", "key", "max_text_tokens"]
)
def test_fields_that_only_sound_secret_are_kept(name: str) -> None:
    config = {name: "visible", "count": 3, "flag": True, "nothing": None}
    assert redact(config, secrets_of(config)) == config


def test_a_secret_inside_another_is_hidden_whole() -> None:
    assert redact_text("abcdef", ["abc", "abcdef"]) == "<hidden>"
