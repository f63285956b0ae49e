"""A run keeps its settings, and a resume with others is told which."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.engine.identity import (
    Identity,
    canonical_json,
    overridden,
    read_identity,
    require_same,
    write_identity,
)

SETTINGS = {"seed": 0, "optimizer": {"learning_rate": 1e-4, "decay_parts": ["connector"]}, "schedule": {}}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=30)  # the disk decides how long one takes
@given(values=st.dictionaries(st.text(), json_values, max_size=4))
def test_an_identity_comes_back_from_its_file(
    values: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / "identity.json"
    write_identity(path, Identity(settings=values))
    assert read_identity(path) == Identity(settings=values)
    assert [file.name for file in path.parent.iterdir()] == ["identity.json"]


def test_the_fingerprint_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert Identity(settings={"a": 1, "b": 2}).sha256 == Identity(settings={"b": 2, "a": 1}).sha256
    assert Identity(settings={"a": 1}).sha256 != Identity(settings={"a": 1.5}).sha256
    assert canonical_json({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'


def test_the_same_settings_may_continue() -> None:
    require_same(Identity(settings=SETTINGS), Identity(settings=dict(reversed(SETTINGS.items()))), Path("runs/x"))


def test_other_settings_are_refused_with_one_line_for_each() -> None:
    changed = {"seed": 1, "optimizer": {"learning_rate": 1e-3, "decay_parts": ["connector"]}, "model": {"path": "p"}}
    with pytest.raises(ValueError, match="runs/x was started with other settings") as refusal:
        require_same(Identity(settings=SETTINGS), Identity(settings=changed), Path("runs/x"))
    assert str(refusal.value).splitlines()[1:] == [
        '  model.path: was (not set), is now "p"',
        "  optimizer.learning_rate: was 0.0001, is now 0.001",
        "  schedule: was {}, is now (not set)",
        "  seed: was 0, is now 1",
    ]


@pytest.mark.parametrize("damage", ["", "[]", "null", '{"settings": {}}', '{"settings": {"a": 2}, "sha256": "0"}'])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "identity.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match=r"identity\.json has other content than was written"):
        read_identity(path)


def test_a_setting_that_people_expect_to_be_free_is_explained_where_it_differs_and_nowhere_else() -> None:
    reasons = {"seed": "  it draws everything", "model.path": "  it is the model"}
    with pytest.raises(ValueError, match="runs/x was started") as refusal:
        require_same(
            Identity(settings=SETTINGS), Identity(settings={**SETTINGS, "seed": 1}), Path("runs/x"), reasons=reasons
        )
    assert str(refusal.value).splitlines()[1:] == ["  seed: was 0, is now 1", "  it draws everything"]


def test_what_is_allowed_to_differ_is_recorded_with_the_step_and_both_values(tmp_path: Path) -> None:
    before = Identity(settings=SETTINGS)
    after = Identity(settings={**SETTINGS, "optimizer": {**SETTINGS["optimizer"], "learning_rate": 1e-3}})  # type: ignore[dict-item]
    require_same(before, after, Path("runs/x"), allowed=["optimizer.learning_rate"])
    identity = overridden(before, after, step=300)
    write_identity(tmp_path / "identity.json", identity)
    found = read_identity(tmp_path / "identity.json")
    (override,) = found.overrides
    assert (override.step, override.sha256) == (300, before.sha256)
    assert [str(change) for change in override.changes] == ["optimizer.learning_rate: was 0.0001, is now 0.001"]
    assert found.continues(before.sha256)
    assert found.continues(after.sha256)
    assert not found.continues(Identity(settings={}).sha256)
    again = overridden(found, after, step=400)
    assert again.overrides == found.overrides, "nothing has changed since"


def test_a_section_may_differ_as_a_whole_and_a_name_that_only_begins_alike_may_not() -> None:
    changed = Identity(settings={**SETTINGS, "optimizer": {"learning_rate": 1.0, "decay_parts": []}})
    require_same(Identity(settings=SETTINGS), changed, Path("runs/x"), allowed=["optimizer"])
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate: was") as refusal:
        require_same(Identity(settings=SETTINGS), changed, Path("runs/x"), allowed=["optimizer.decay_parts", "optim"])
    assert "decay_parts" not in str(refusal.value)
