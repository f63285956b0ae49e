"""Choosing a codec's file: the three ways, and every way in which the file can be wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.numpy import save_file

from finetune.tokens import mask_codec_file
from finetune.tokens.mask_codec_file import ORIGINAL_BYTES, choose_codec, codec_shapes, read_weights


@pytest.fixture(autouse=True)
def no_choice_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_MASK_CODEC", raising=False)


def _zeros() -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, dtype=np.float32) for name, shape in codec_shapes()}


def _moving_averages() -> dict[str, np.ndarray]:
    return {
        "_vq_vae._ema_cluster_size": np.zeros(128, dtype=np.float32),
        "_vq_vae._ema_w": np.zeros((128, 512), dtype=np.float32),
    }


@pytest.fixture
def codec_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    np.savez(path, **_zeros())
    return path


def test_names_and_shapes_add_up_to_the_bytes_of_the_published_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "zeros.npz", **_zeros(), **_moving_averages())
    assert (tmp_path / "zeros.npz").stat().st_size == ORIGINAL_BYTES
    assert len(read_weights(tmp_path / "zeros.npz")) == 47


def test_without_a_setting_the_embedded_codec_is_used() -> None:
    choice = choose_codec(None)
    assert choice.name == "embedded"
    assert choice == choose_codec("embedded")
    assert choice.sha256 == json.loads((choice.path.parent / "codec.json").read_text(encoding="utf-8"))["sha256"]


def test_the_environment_chooses_where_the_setting_does_not(codec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_MASK_CODEC", str(codec_file))
    assert choose_codec(None).path == codec_file
    assert choose_codec(None).name == str(codec_file)
    assert choose_codec("embedded").name == "embedded"
    monkeypatch.setenv("FINETUNE_MASK_CODEC", "embedded")
    assert choose_codec(None).name == "embedded"
    monkeypatch.setenv("FINETUNE_MASK_CODEC", "nowhere.npz")
    with pytest.raises(ValueError, match=r"^FINETUNE_MASK_CODEC=nowhere\.npz is not a file"):
        choose_codec(None)


def test_a_relative_path_still_leads_to_the_file_from_another_folder(
    codec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(codec_file.parent)
    choice = choose_codec("mine.npz")
    assert (choice.name, choice.path) == ("mine.npz", codec_file)


def test_npz_and_safetensors_hold_the_same_weights(tmp_path: Path, codec_file: Path) -> None:
    save_file(_zeros(), tmp_path / "mine.safetensors")
    ours, theirs = read_weights(tmp_path / "mine.safetensors"), read_weights(codec_file)
    assert ours.keys() == theirs.keys()
    assert choose_codec(str(tmp_path / "mine.safetensors")).sha256 != choose_codec(str(codec_file)).sha256


def test_a_missing_file_is_refused_with_what_may_be_given() -> None:
    with pytest.raises(ValueError, match=r"mask_codec=gone\.npz is not a file: .* embedded or original"):
        choose_codec("gone.npz")


@pytest.mark.parametrize("name", ["cut.npz", "cut.safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, codec_file: Path, name: str) -> None:
    (tmp_path / name).write_bytes(codec_file.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=r"not a readable \.npz or \.safetensors file"):
        choose_codec(str(tmp_path / name))


def test_pickled_objects_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **{**_zeros(), "decoder.12.bias": np.array([object()], dtype=object)})
    with pytest.raises(ValueError, match="not a readable"):
        choose_codec(str(tmp_path / "bad.npz"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"decoder.12.bias": None}, "lacks decoder.12.bias; it must hold the 47 arrays"),
        ({"decoder.14.bias": np.zeros(1, np.float32)}, "has also decoder.14.bias"),
        ({"decoder.12.bias": np.zeros(2, np.float32)}, r"decoder.12.bias must have the shape \(1,\), got \(2,\)"),
        ({"decoder.12.bias": np.zeros(1, np.int64)}, "finite floating-point numbers, got int64"),
        ({"decoder.12.bias": np.full(1, np.nan, np.float32)}, "finite"),
    ],
)
def test_a_file_that_is_no_codec_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    arrays = {name: array for name, array in {**_zeros(), **change}.items() if array is not None}
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        choose_codec(str(tmp_path / "other.npz"))


def test_a_file_called_like_the_original_must_be_it(tmp_path: Path, codec_file: Path) -> None:
    path = tmp_path / "vae-oid.npz"
    shutil.copy(codec_file, path)
    with pytest.raises(ValueError, match=r"called vae-oid\.npz but is not the original: .* sha256 558601"):
        choose_codec(str(path))


def test_the_original_is_known_by_its_content_under_any_name(codec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_codec_file, "ORIGINAL_SHA256", choose_codec(str(codec_file)).sha256)
    assert choose_codec(str(codec_file)).name == "original"


def test_the_original_comes_from_the_cache_before_the_network_is_asked(
    tmp_path: Path, codec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "cache" / "vae-oid.npz"
    cached.parent.mkdir()
    shutil.copy(codec_file, cached)
    monkeypatch.setattr(mask_codec_file, "ORIGINAL_SHA256", choose_codec(str(codec_file)).sha256)
    monkeypatch.setattr("finetune.hub.hub_problem", _not_asked)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(cached))
    choice = choose_codec("original")
    assert (choice.name, choice.path) == ("original", cached)


def test_the_original_is_downloaded_from_the_space_and_checked(
    tmp_path: Path, codec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = tmp_path / "snapshot" / "vae-oid.npz"
    asked: list[tuple[str, str, str]] = []

    def download(repository: str, name: str, *, repo_type: str, local_files_only: bool = False) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        asked.append((repository, name, repo_type))
        arrived.parent.mkdir()
        shutil.copy(codec_file, arrived)
        return str(arrived)

    monkeypatch.setattr("finetune.hub.hub_problem", lambda repository, *, kind: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(ValueError, match="is not the original"):
        choose_codec("original")
    assert asked == [("google/paligemma-hf", "vae-oid.npz", "space")]


def test_without_a_network_the_original_can_be_got_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        choose_codec("original")
    message = str(error.value)
    assert "https://huggingface.co/spaces/google/paligemma-hf/resolve/main/vae-oid.npz" in message
    assert "FINETUNE_MASK_CODEC" in message
    assert "mask_codec=embedded" in message
    assert "\n" not in message


def test_an_embedded_codec_that_was_exchanged_is_refused(
    tmp_path: Path, codec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(_zeros(), tmp_path / "codec.safetensors")
    (tmp_path / "codec.json").write_text('{"sha256": "0000"}', encoding="utf-8")
    monkeypatch.setattr(mask_codec_file, "_EMBEDDED_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="not the one that was released"):
        choose_codec("embedded")


def _not_asked(*_: object, **__: object) -> None:
    raise AssertionError("the hub must not be asked")
