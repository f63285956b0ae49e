"""`finetune export` as it is typed, and its folders as somebody else uses them: without this project."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from datasets_adapters.scenes import Scenes
from finetune import cli
from finetune.data.images import decode_image, resize
from finetune.model.choices import TINY_TOKENIZER, LocalModel, NpzModel, TinyModel
from finetune.settings import Resize
from finetune.types import ImageFile

IMAGE_SIZE, NUM_SCENES, NEW_TOKENS = 56, 20, 12
COMMON = [
    "model=tiny_random",
    f"model.image_size={IMAGE_SIZE}",
    "model.vision_depth=1",
    "model.decoder_depth=2",
    "model.vision_width=32",
    "model.decoder_width=64",
    "dataset.num_train=256",
    f"dataset.num_eval={NUM_SCENES}",
    "training.global_batch_size=16",
    "training.micro_batch_size=16",
    f"evaluation.max_new_tokens={NEW_TOKENS}",
    "evaluation.before_training=false",
    "self_test.enabled=false",
]

# The code of a model card, word for word: what loads, once, and what generates, for each image.
PLAIN_USE = """
import json, sys
from pathlib import Path

import numpy as np
from PIL import Image

folder, asked, pixels = sys.argv[1:]
code = Path(folder, "README.md").read_text().split("```python\\n")[1].split("```")[0]
code = code.replace("path/to/this/folder", folder).replace("max_new_tokens=128", "max_new_tokens=NEW_TOKENS")
loading, generating = code.split("\\nimages = ")
exec(loading)
shown = []
for line in Path(asked).read_text().splitlines():
    image, prefix = Image.open(json.loads(line)["image"]), json.loads(line)["prefix"]
    exec("images = " + generating)
    shown.append(inputs["pixel_values"][0].numpy())
np.save(pixels, np.stack(shown))
assert not {"finetune", "recipes", "datasets_adapters"} & set(sys.modules)
""".replace("NEW_TOKENS", str(NEW_TOKENS))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished run, what it says about held-out scenes, and these scenes as files."""

    folder: Path
    prefixes: list[str]
    texts: list[str]
    images: list[Path]

    @property
    def run(self) -> str:
        """The folder as a word of a command line."""
        return f"run={self.folder}"


def _predict(run: Path, to: Path, *words: str) -> list[dict[str, Any]]:
    assert cli.run(["predict", f"run={run}", f"to={to}", *words]) == 0
    return [json.loads(line) for line in to.read_text().splitlines()]


def _train(runs: Path, scene_size: int, *words: str) -> Trained:
    assert cli.run(["train", f"runs={runs}", "name=run", f"dataset.image_size={scene_size}", *COMMON, *words]) == 0
    rows = _predict(runs / "run", runs / "said.jsonl")
    source = Scenes(image_size=scene_size, num_eval=NUM_SCENES).open("eval")
    images = [runs / f"{index}.png" for index in range(NUM_SCENES)]
    for index, path in enumerate(images):
        Image.fromarray(source[index].images[0].pixels).save(path)
    return Trained(
        folder=runs / "run",
        prefixes=[row["prefix"] for row in rows],
        texts=[row["text"] for row in rows],
        images=images,
    )


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Adapters and a connector, on scenes of the model's own resolution; the better half-way checkpoint is kept."""
    return _train(
        tmp_path_factory.mktemp("adapted"),
        IMAGE_SIZE,
        "recipe=vqa",
        "peft.rank=32",
        "peft.fully_trained=[connector,image_encoder]",
        "optimizer.learning_rate=0.003",
        "training.max_steps=60",
        "checkpoint.every_steps=30",
        "evaluation.every_steps=30",
        "evaluation.best_metric=vqa_accuracy",
    )


@pytest.fixture(scope="module")
def resized(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Everything trained, on larger scenes, shrunk as the Hugging Face processor does."""
    return _train(
        tmp_path_factory.mktemp("resized"),
        96,
        "recipe=ocr",
        "peft=none",
        "data.resize=hf",
        "optimizer.learning_rate=0.004",
        "training.max_steps=60",
    )


def _use_plainly(folder: Path, trained: Trained, elsewhere: Path) -> tuple[list[str], np.ndarray]:
    """Follow the card in a process that knows nothing of this project; return its texts, and the pixels it saw."""
    rows = [
        {"image": str(image), "prefix": prefix} for image, prefix in zip(trained.images, trained.prefixes, strict=True)
    ]
    asked, pixels = elsewhere / "asked.jsonl", elsewhere / "pixels.npy"
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN_USE, str(folder), str(asked), str(pixels)],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines(), np.load(pixels)


def _our_pixels(trained: Trained, method: Resize) -> torch.Tensor:
    images = [
        decode_image(ImageFile(name=path.name, path=path), max_pixels=10**6, background=255).pixels
        for path in trained.images
    ]
    resized = [resize(image, image_size=IMAGE_SIZE, method=method, antialias=True) for image in images]
    return torch.stack(resized).float() / 127.5 - 1


def test_the_runs_have_something_to_say(adapted: Trained, resized: Trained) -> None:
    assert len(set(adapted.texts)) > 1
    assert all(resized.texts)


def test_the_adapter_on_its_base_says_the_same_in_plain_peft(
    adapted: Trained, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("export", adapted.run, "format=adapter")
    printed = capsys.readouterr().out.splitlines()
    folder, base = adapted.folder / "export" / "adapter", adapted.folder / "export" / "base"
    assert printed == [f"adapter of step 60: {folder}", f"its base model: {base}"]
    texts, pixels = _use_plainly(folder, adapted, tmp_path)
    assert texts == adapted.texts
    torch.testing.assert_close(torch.from_numpy(pixels), _our_pixels(adapted, Resize.reference))


def test_the_merged_model_says_the_same_in_plain_transformers(
    adapted: Trained, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("export", adapted.run, "format=merged", f"to={tmp_path / 'merged'}")
    texts, _ = _use_plainly(tmp_path / "merged", adapted, tmp_path)
    assert texts == adapted.texts


def test_the_plain_processor_shrinks_to_the_very_same_pixels(
    resized: Trained, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("export", resized.run, "format=merged")
    texts, pixels = _use_plainly(resized.folder / "export" / "merged", resized, tmp_path)
    assert texts == resized.texts
    levels = (torch.from_numpy(pixels) + 1) * 127.5
    ours = (_our_pixels(resized, Resize.hf) + 1) * 127.5
    assert torch.equal(levels.round(), ours.round())
    torch.testing.assert_close(levels, ours, rtol=0, atol=1e-3)


def test_a_base_that_has_no_name_lies_beside_the_adapter_and_is_the_one_it_was_trained_on(
    adapted: Trained, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("export", adapted.run, f"to={tmp_path / 'mine'}")
    config = json.loads((tmp_path / "mine" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "mine-base")
    assert "'path/to/this/folder/../mine-base'" in (tmp_path / "mine" / "README.md").read_text()
    assert "Optimizer steps: 0." in (tmp_path / "mine-base" / "README.md").read_text()
    written = LocalModel(path=str(tmp_path / "mine-base")).load().model.state_dict()
    model = {word.partition("=")[0]: word.partition("=")[2] for word in COMMON if word.startswith("model.")}
    fresh = TinyModel(**{name.removeprefix("model."): int(value) for name, value in model.items()}).load()
    assert all(torch.equal(written[name], tensor) for name, tensor in fresh.model.state_dict().items())


@pytest.mark.parametrize(("weights", "step"), [("step-00000030", 30), ("latest", 60)])
def test_a_checkpoint_can_be_named(
    adapted: Trained, weights: str, step: int, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("export", adapted.run, "format=merged", f"weights={weights}", f"to={tmp_path / 'merged'}")
    assert f"Optimizer steps: {step}." in (tmp_path / "merged" / "README.md").read_text()


def test_the_best_checkpoint_is_the_one_that_evaluation_found(
    adapted: Trained, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("export", adapted.run, "format=merged", "weights=best", f"to={tmp_path / 'merged'}")
    card = (tmp_path / "merged" / "README.md").read_text()
    step = re.search(r"Optimizer steps: (\d+)\.", card)
    assert step is not None
    best = [row["text"] for row in _predict(adapted.folder, tmp_path / "best.jsonl", "weights=best")]
    named = [row["text"] for row in _predict(adapted.folder, tmp_path / "named.jsonl", f"weights=step-{step[1]:0>8}")]
    assert _use_plainly(tmp_path / "merged", adapted, tmp_path)[0] == best == named


def test_every_file_of_an_export_can_be_read_by_the_same_people(
    adapted: Trained, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("export", adapted.run, f"to={tmp_path / 'adapter'}")
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert len(modes) == 1


def test_what_was_trained_in_full_is_no_adapter(resized: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", resized.run, "format=adapter"]) == 2
    assert "format=adapter needs a run with peft=lora; use format=merged" in capsys.readouterr().err
    assert not (resized.folder / "export" / "adapter").exists()


def test_an_export_is_not_shown_other_pixels_than_it_was_trained_on(
    resized: Trained, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("export", resized.run, "format=merged", f"to={tmp_path / 'merged'}")
    words = ["predict", f"runs={tmp_path}", "model=local", f"model.path={tmp_path / 'merged'}", "recipe=ocr"]
    words += [f"images=[{resized.images[0]}]", f"prefix='{resized.prefixes[0]}'", f"to={tmp_path / 'said.jsonl'}"]
    assert cli.run(words) == 2
    assert "was trained with data.resize=hf, this command has data.resize=reference" in capsys.readouterr().err
    finetune(*words, "data.resize=hf", f"evaluation.max_new_tokens={NEW_TOKENS}")
    assert json.loads((tmp_path / "said.jsonl").read_text())["text"] == resized.texts[0]


def test_a_run_becomes_a_checkpoint_of_the_original_and_says_the_same(
    adapted: Trained, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("export", adapted.run, "format=npz", f"to={tmp_path / 'npz'}")
    assert capsys.readouterr().out == f"npz of step 60: {tmp_path / 'npz'}\n"
    words = ["model=npz", f"model.path={tmp_path / 'npz' / 'model.npz'}", f"runs={tmp_path}", "recipe=vqa"]
    words += [word for word in COMMON if word.startswith(("dataset", "evaluation.max"))]
    said = tmp_path / "said.jsonl"
    finetune("predict", *words, f"dataset.image_size={IMAGE_SIZE}", f"to={said}")
    assert [json.loads(line)["text"] for line in said.read_text().splitlines()] == adapted.texts


def test_a_base_model_is_converted_without_a_run(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    model = [word for word in COMMON if word.startswith("model.")]
    finetune("export", "model=tiny1", *model, "format=npz", f"to={tmp_path / 'npz'}")
    npz = tmp_path / "npz" / "model.npz"
    finetune("export", "model=npz", f"model.path={npz}", "format=merged", f"to={tmp_path / 'hf'}")
    finetune("export", "model=local", f"model.path={tmp_path / 'hf'}", "format=npz", f"to={tmp_path / 'again'}")
    assert npz.read_bytes() == (tmp_path / "again" / "model.npz").read_bytes()
    assert capsys.readouterr().out.startswith(f"npz of tiny1: {tmp_path / 'npz'}\n")
    assert (tmp_path / "npz" / "README.md").read_text().partition("# ")[2].startswith("npz\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "hf", "npz"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "format=adapter needs run=<folder of a run>"),
        (["format=npz"], "to must be given where there is no run"),
        (["format=npz", "to=x", "weights=best"], "weights=best needs run="),
    ],
)
def test_without_a_run_a_format_and_a_folder_are_needed(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["export", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_base_of_an_adapter_that_was_an_npz_lies_beside_it(tmp_path: Path, finetune: Callable[..., None]) -> None:
    model = [word for word in COMMON if word.startswith("model.")]
    finetune("export", "model=tiny1", *model, "format=npz", f"to={tmp_path / 'npz'}")
    words = [word for word in COMMON if not word.startswith("model")]
    npz = f"model.path={tmp_path / 'npz' / 'model.npz'}"
    finetune("train", "name=run", f"runs={tmp_path}", "model=npz", npz, "training.max_steps=1", *words)
    finetune("export", f"run={tmp_path / 'run'}")
    written = LocalModel(path=str(tmp_path / "run" / "export" / "base")).load().model.state_dict()
    original = NpzModel(path=str(tmp_path / "npz" / "model.npz")).load().model.state_dict()
    assert all(torch.equal(written[name], tensor) for name, tensor in original.items())


FORMATS = {
    "f32": ("f32",),
    "f16": ("f16",),
    "bf16": ("bf16",),
    "all three": ("f32", "f16", "bf16"),
}


def _stored(values: np.ndarray, form: str) -> np.ndarray:
    """Return values as the original stores them; numpy has no bfloat16, the upper half of a float32."""
    if form == "bf16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").view("V2")
    return values.astype({"f32": "<f4", "f16": "<f2"}[form])


@pytest.mark.parametrize("forms", FORMATS.values(), ids=FORMATS.keys())
@pytest.mark.parametrize("tree", ["params/", "opt/target/", ""])
def test_an_npz_becomes_an_npz_without_a_changed_bit_and_without_a_tokenizer(
    oracles: Path, tmp_path: Path, finetune: Callable[..., None], forms: tuple[str, ...], tree: str
) -> None:
    theirs = np.load(oracles / "paligemma2_tiny.checkpoint.npz")
    arrays = {
        name.removeprefix("params/"): _stored(theirs[name], forms[index % len(forms)])
        for index, name in enumerate(theirs.files)
    }
    np.savez(tmp_path / "theirs.npz", **{tree + name: array for name, array in arrays.items()})
    npz = f"model.path={tmp_path / 'theirs.npz'}"
    finetune("export", "model=npz", npz, "format=npz", f"to={tmp_path / 'ours'}")
    written = np.load(tmp_path / "ours" / "model.npz")
    assert set(written.files) == {f"params/{name}" for name in arrays}
    for name, array in arrays.items():
        found = written[f"params/{name}"]
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes()), name
    assert not (tmp_path / "ours" / "tokenizer.json").exists()


def test_a_format_that_is_said_is_written(oracles: Path, tmp_path: Path, finetune: Callable[..., None]) -> None:
    npz = f"model.path={oracles / 'paligemma1_tiny.checkpoint.npz'}"
    finetune("export", "model=npz", npz, "model.dtype=bf16", "format=npz", f"to={tmp_path / 'ours'}")
    assert {array.dtype.str for array in np.load(tmp_path / "ours" / "model.npz").values()} == {"|V2"}


def test_what_reads_text_asks_for_a_tokenizer(
    oracles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npz = f"model.path={oracles / 'paligemma1_tiny.checkpoint.npz'}"
    assert cli.run(["export", "model=npz", npz, "format=merged", f"to={tmp_path / 'hf'}"]) == 2
    assert "set model.tokenizer to a folder that holds one for 1536 ids" in capsys.readouterr().err


def test_a_tokenizer_of_another_model_is_not_carried_along(
    oracles: Path, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    (tmp_path / "x.npz").symlink_to(oracles / "paligemma1_tiny.checkpoint.npz")
    (tmp_path / "tokenizer.json").symlink_to(TINY_TOKENIZER / "tokenizer.json")
    finetune("export", "model=npz", f"model.path={tmp_path / 'x.npz'}", "format=npz", f"to={tmp_path / 'ours'}")
    assert not (tmp_path / "ours" / "tokenizer.json").exists()


def test_an_npz_becomes_a_folder_in_its_own_format(tmp_path: Path, finetune: Callable[..., None]) -> None:
    model = [word for word in COMMON if word.startswith("model.")]
    finetune("export", "model=tiny1", *model, "model.dtype=bf16", "format=npz", f"to={tmp_path / 'npz'}")
    npz = f"model.path={tmp_path / 'npz' / 'model.npz'}"
    finetune("export", "model=npz", npz, "format=merged", f"to={tmp_path / 'hf'}")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
