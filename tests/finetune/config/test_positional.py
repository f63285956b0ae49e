import pytest

from finetune.config.positional import as_settings


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["a.npz", "b.npz"], ["npz='a.npz'", "expected='b.npz'"]),
        (["npz=a", "b"], ["npz=a", "expected='b'"]),
        (["b", "npz=a"], ["npz=a", "expected='b'"]),
        (["a"], ["npz='a'"]),
        (["/lr=3/it's, {x}.npz", "b"], ["npz='/lr=3/it\\'s, {x}.npz'", "expected='b'"]),
    ],
)
def test_words_without_a_name_get_the_free_ones_in_order(words: list[str], settings: list[str]) -> None:
    assert as_settings("verify", words) == settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "c"], "c: there is one file too many; write finetune verify CHECKPOINT.npz EXPECTED.npz"),
        (["npz=a", "expected=b", "c"], "c: there is one file too many"),
        (["seed=1", "a", "b"], "there is no setting seed here"),
        (["~model.path=1", "a"], "there is no setting"),
    ],
)
def test_what_is_no_file_and_no_setting_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_settings("verify", words)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["runs/a", "runs/b"], ["folders=['runs/a','runs/b']"]),
        (["to=t.md", "it's/x=3, y"], ["to=t.md", "folders=['it\\'s/x=3, y']"]),
        (["folders=[runs/a]"], ["folders=[runs/a]"]),
        ([], []),
    ],
)
def test_words_without_a_name_are_collected_where_there_may_be_any_number(
    words: list[str], settings: list[str]
) -> None:
    assert as_settings("report", words) == settings


def test_a_list_and_words_without_a_name_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"write all of them without, or all in folders=\[...\]"):
        as_settings("report", ["folders=[a]", "b"])


def test_other_commands_keep_their_words() -> None:
    assert as_settings("train", ["seed=1", "odd"]) == ["seed=1", "odd"]
