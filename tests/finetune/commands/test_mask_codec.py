"""Which codec a run's masks are said in: recorded, carried along, and never mixed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from finetune import cli
from finetune.commands.mask_codec import check_base_codec, codec_in_use, codec_of_base, codec_of_weights, warn_of_codec
from finetune.config.schema import RunConfig
from finetune.data.mixture import Mixture, MixturePart
from finetune.model.choices import HubModel, LocalModel, TinyModel
from finetune.tokens.codec_record import CodecRecord, read_record, record_of, write_record
from finetune.tokens.mask_codec_file import ORIGINAL_SHA256
from finetune.tokens.segmentation import choose_codec
from recipes.captioning import Captioning
from recipes.segmentation import Segmentation

from .conftest import SMALL

EMBEDDED = record_of(choose_codec("embedded"))


@pytest.fixture(scope="module")
def other_codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the embedded codec's arrays, one of them another."""
    weights = {name: np.array(value) for name, value in load_file(choose_codec("embedded").path).items()}
    weights["_vq_vae._embedding"] = weights["_vq_vae._embedding"][::-1].copy()
    path = tmp_path_factory.mktemp("codec") / "other.safetensors"
    save_file(weights, path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, finetune: Callable[..., None]) -> Path:
    """The folder of a run that learns masks."""
    runs = tmp_path_factory.mktemp("runs")
    finetune("train", f"runs={runs}", "name=masks", "recipe=segmentation", "recipe.mask_codec=embedded", *SMALL)
    return runs / "masks"


def _config(recipe: object, model: object = None) -> RunConfig:
    return RunConfig(recipe=recipe, model=model or TinyModel())


def test_a_run_records_the_codec_by_name_and_content(run: Path) -> None:
    settings = json.loads((run / "identity.json").read_text())["settings"]
    assert settings["mask_codec"] == {"name": "embedded", "sha256": EMBEDDED.sha256}
    assert "mask_codec" not in settings["recipe"]
    assert str(EMBEDDED) in (run / "report.html").read_text()


def test_a_run_is_not_continued_evaluated_used_or_exported_with_another_codec(
    run: Path, other_codec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train", f"runs={run.parent}", "name=masks", "recipe=segmentation", *SMALL]
    other = f"recipe.mask_codec={other_codec}"
    used = [[command, f"run={run}", other] for command in ("evaluate", "predict", "export")]
    for words in ([*train, other], *used):
        assert cli.run(words) == 2
        message = capsys.readouterr().err
        assert f"trained with the mask codec {EMBEDDED}" in message
        assert "other.safetensors (" in message
    monkeypatch.setenv("FINETUNE_MASK_CODEC", str(other_codec))
    assert cli.run([*train, "recipe.mask_codec=null"]) == 2
    assert "other.safetensors (" in capsys.readouterr().err


def test_the_same_codec_under_another_name_continues(
    run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(choose_codec("embedded").path, tmp_path / "mine.safetensors")
    finetune("predict", f"run={run}", f"recipe.mask_codec={tmp_path}/mine.safetensors", "evaluation.num_samples=1")
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("form", ["merged", "adapter", "npz"])
def test_exports_say_which_codec_their_weights_speak(
    run: Path, tmp_path: Path, finetune: Callable[..., None], form: str
) -> None:
    finetune("export", f"run={run}", f"format={form}", f"to={tmp_path}/{form}")
    assert read_record(tmp_path / form) == EMBEDDED
    assert EMBEDDED.sha256 in (tmp_path / form / "README.md").read_text()
    if form == "adapter":
        assert read_record(tmp_path / "adapter-base") is None, "the base was taught no masks"


def test_an_exported_model_is_not_taught_another_codec(
    run: Path, tmp_path: Path, finetune: Callable[..., None], other_codec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("export", f"run={run}", "format=merged", f"to={tmp_path}/merged")
    others = [word for word in SMALL if not word.startswith("model")]
    words = [
        "train",
        f"runs={tmp_path}",
        "model=local",
        f"model.path={tmp_path}/merged",
        "recipe=segmentation",
        *others,
    ]
    assert cli.run([*words, f"recipe.mask_codec={other_codec}"]) == 2
    assert f"the base model {tmp_path}/merged was trained with the mask codec {EMBEDDED}" in capsys.readouterr().err
    assert cli.run([*words, "training.max_steps=1", "evaluation.num_samples=1"]) == 0
    captions = _config(Captioning(), LocalModel(path=f"{tmp_path}/merged"))
    assert codec_of_weights(captions, 5) == EMBEDDED, "training on captions leaves its masks in that codec"


@pytest.mark.parametrize("model", ["model=tiny_random", "model=tiny1"])
def test_weights_that_know_no_codec_learn_any(
    model: str, other_codec: Path, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    small = [*SMALL[1:], "training.max_steps=1", "evaluation.before_training=false", "evaluation.num_samples=1"]
    codec = ["recipe=segmentation", f"recipe.mask_codec={other_codec}"]
    finetune("train", f"runs={tmp_path}", "name=other", model, *codec, *small)
    finetune("export", model, *SMALL[1:6], "format=npz", f"to={tmp_path / 'npz'}")
    npz = tmp_path / "elsewhere.npz"
    # Beside no tokenizer, the embedded one serves, whose folder is the pretrained model's too.
    (tmp_path / "npz" / "model.npz").rename(npz)
    base = ["model=npz", f"model.path={npz}", *(word for word in small if not word.startswith("model."))]
    finetune("train", f"runs={tmp_path}", "name=npz", *base, *codec)


def test_the_pretrained_model_is_called_by_its_choice(other_codec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "recipe=segmentation", f"recipe.mask_codec={other_codec}"]) == 2
    assert capsys.readouterr().err.startswith(f"finetune train: model=tiny was trained with the mask codec {EMBEDDED}")


def test_the_parts_of_a_mixture_agree_on_one_codec(other_codec: Path) -> None:
    def mixture(codec: str) -> RunConfig:
        parts = {
            "captions": MixturePart(recipe=Captioning()),
            "masks": MixturePart(recipe=Segmentation(mask_codec="embedded")),
            "more": MixturePart(recipe=Segmentation(mask_codec=codec)),
        }
        return _config(Mixture(parts=parts))

    assert codec_in_use(mixture("embedded")) == EMBEDDED
    with pytest.raises(ValueError, match=r"recipe\.parts\.masks uses the mask codec embedded .*, recipe\.parts\.more"):
        codec_in_use(mixture(str(other_codec)))
    assert codec_in_use(_config(Captioning())) is None


def test_a_published_model_is_warned_of_and_known_by_the_originals_codes(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_codec(_config(Segmentation(mask_codec="embedded"), HubModel()))
    assert "google/paligemma-3b-pt-224 speaks the original's mask codes" in capsys.readouterr().err
    warn_of_codec(_config(Captioning(), HubModel()))
    warn_of_codec(_config(Segmentation(), HubModel(repository="me/mine", variant=None)))
    assert capsys.readouterr().err == ""
    assert codec_of_base(HubModel()) == CodecRecord(name="original", sha256=ORIGINAL_SHA256)


def test_a_folder_that_names_another_codec_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, CodecRecord(name="theirs.npz", sha256="ab" * 32))
    with pytest.raises(ValueError, match=r"theirs\.npz \(abab.*this command uses embedded"):
        check_base_codec(_config(Segmentation(mask_codec="embedded"), LocalModel(path=str(tmp_path))))
    check_base_codec(_config(Captioning(), LocalModel(path=str(tmp_path))))


def test_before_training_weights_speak_what_their_base_does() -> None:
    config = _config(Segmentation(mask_codec="embedded"))
    assert codec_of_weights(config, 0) == codec_of_base(config.model)
    assert codec_of_weights(config, 1) == EMBEDDED
