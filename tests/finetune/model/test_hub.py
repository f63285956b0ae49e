"""A checkpoint that cannot be downloaded: what the user is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from finetune.model import hub
from finetune.model.choices import HubModel


def _failing(kind: type[Exception]) -> Any:
    def fail(*_: object, **__: object) -> str:
        response = SimpleNamespace(headers={}, request=None, status_code=403)
        raise kind("refused", response=response)

    return fail


def test_offline_says_how_to_get_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="not in the local cache and the hub cannot be reached") as error:
        HubModel(repository="google/paligemma2-3b", variant="pt-224").load()
    message = str(error.value)
    assert "https://huggingface.co/google/paligemma2-3b-pt-224" in message
    assert "hf auth login" in message
    assert "model=local model.path=" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            GatedRepoError,
            ["is gated: accept the licence at https://huggingface.co/a/b", "hf auth login", "model=local"],
        ),
        (RepositoryNotFoundError, ["knows no a/b", "hf auth login", "model=local"]),
        (RevisionNotFoundError, ["a/b has no revision 'v9'"]),
    ],
)
def test_a_refusal_says_what_to_do(kind: type[Exception], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "snapshot_download", _failing(kind))
    with pytest.raises(ValueError, match="a/b") as error:
        hub.download("a/b", "v9", with_weights=True)
    for word in words:
        assert word in str(error.value)


def test_only_safetensors_and_json_are_fetched_and_the_commit_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return f"/cache/models--a--b/snapshots/{'0' * 40}"

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(hub, "hub_problem", lambda repository, *, kind: None)
    snapshot = hub.download("a/b", None, with_weights=True)
    assert snapshot.commit == "0" * 40
    assert asked == {
        "repository": "a/b",
        "revision": None,
        "allow_patterns": ["*.json", "*.safetensors"],
        "local_files_only": False,
    }


def test_a_cached_checkpoint_is_used_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "1" * 40
    repository = tmp_path / "models--a--b"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hub.download("a/b", None, with_weights=True).commit == commit
