"""Every command of the README, typed as it stands there, on data made for it. Runs are cut short; nothing else is."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from finetune import cli

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL) for line in block.strip().splitlines()
]
SHORT = [
    "debug=one_step",
    "model=tiny_random",
    "model.vision_depth=1",
    "model.decoder_depth=1",
    "model.vision_width=32",
    "model.decoder_width=64",
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with everything that the README's commands name."""
    here = tmp_path_factory.mktemp("workplace")
    _make_voc(here / "data" / "cells")
    _make_docs(here / "data" / "docs")
    _make_coco(here / "data" / "coco")
    shutil.copytree(REPOSITORY / "tests" / "assets" / "published" / "docvqa", here / "data" / "docvqa")
    (here / "photos").mkdir()
    Image.new("RGB", (50, 40), "blue").save(here / "photos" / "one.jpg")
    before = Path.cwd()
    os.chdir(here)
    yield here
    os.chdir(before)


def _make_voc(root: Path) -> None:
    for name in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (root / name).mkdir(parents=True)
    for split, name in (("train", "a"), ("val", "b")):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{name}\n")
        Image.new("RGB", (64, 48), "red").save(root / "JPEGImages" / f"{name}.jpg")
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>64</width><height>48</height><depth>3</depth>"
            "</size><object><name>cell</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
            "</object></annotation>"
        )


def _make_docs(root: Path) -> None:
    (root / "images").mkdir(parents=True)
    blocks = re.findall(r"```json\n(.*?)```", README, flags=re.DOTALL)
    lines = blocks[0].strip().splitlines()
    for line in lines:
        row = json.loads(line)
        Image.new("RGB", (row.get("width", 64), row.get("height", 48)), "green").save(root / row["image"])
    # The README's own lines: verbatim takes the first one, and inspect says of the others what they lack.
    (root / "train.jsonl").write_text("\n".join(lines) + "\n")
    (root / "val.jsonl").write_text(lines[0] + "\n")


def _make_coco(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    Image.new("RGB", (64, 48), "white").save(root / "train" / "1.jpg")
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 600, "bbox": [10, 10, 30, 20]}
    annotation["segmentation"] = [[10, 10, 40, 10, 40, 30, 10, 30]]
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [annotation],
    }
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))


@pytest.fixture
def oracle_pair(workplace: Path) -> None:
    """The pair that `finetune verify` is shown on."""
    folder = REPOSITORY.parent / "shared" / "oracles"
    if not folder.is_dir():
        pytest.skip("the original's outputs (../shared/oracles) are not here")
    for kind in ("checkpoint", "expected"):
        shutil.copyfile(folder / f"paligemma2_tiny.{kind}.npz", workplace / f"paligemma2_tiny.{kind}.npz")


def _words(command: str) -> list[str]:
    """Return a `finetune` command's words, cut short where it would run for long.

    Chaos forks, which this process with its threads must not: tests/finetune/commands/test_chaos.py runs it.
    """
    words = shlex.split(command)[1:]
    needs_download = any(word.startswith(("model=paligemma", "model=local", "model=npz")) for word in words)
    if needs_download or words[0] == "chaos":
        return [*words, "--cfg", "job"]
    if words[0] == "inspect" and any(word.startswith("experiment=") for word in words):
        # A published checkpoint's tokenizer is not to be had here.
        return [*words, "model=tiny"]
    # Of a published checkpoint that an experiment chose, and that the tiny model takes the place of.
    words = [word for word in words if not word.startswith("model.variant=")]
    if words[0] == "bench":
        return [*words, "rounds=1", "block_steps=1", "warmup_steps=2", "variants=[ours,stock]"]
    is_new_run = words[0] == "train" and not {"--help", "--cfg"} & set(words)
    return [*words, *(SHORT if is_new_run or words[0] in ("doctor", "plan") else [])]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("finetune ")])
def test_a_command_of_the_readme_runs(
    command: str, workplace: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.startswith("finetune verify"):
        request.getfixturevalue("oracle_pair")
    assert cli.run(_words(command)) == 0, capsys.readouterr().err


def test_the_demo_runs_and_names_its_report(tmp_path: Path) -> None:
    assert "scripts/demo.sh" in COMMANDS
    words = ["bash", "scripts/demo.sh", f"runs={tmp_path}", *SHORT, "model.image_size=28"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"report: {tmp_path}/detection-[\w-]+/report.html", done.stdout)


def test_the_test_script_starts_pytest(tmp_path: Path) -> None:
    assert "scripts/test.sh" in COMMANDS
    done = subprocess.run(
        ["bash", "scripts/test.sh", "--version"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pytest" in done.stdout + done.stderr


def test_no_command_is_left_out() -> None:
    # The launchers' lines run in test_launchers.py.
    known = ("finetune ", "torchrun ", "accelerate ", "deepspeed ", "scripts/demo.sh", "scripts/test.sh")
    assert [command for command in COMMANDS if not command.startswith(known)] == []


def test_files_that_the_readme_shows_and_names_exist() -> None:
    for path in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (REPOSITORY / path).exists(), path
    for path in re.findall(r"`((?:finetune|recipes|scripts)/[\w/]+(?:\.py|\.sh|/))`", README):
        assert (REPOSITORY / path).exists() or "mine" in path, path


SPEEDS = {
    "LoRA, bf16": "lora_bf16",
    "LoRA, fp32": "lora_fp32",
    "in full, bf16": "full_bf16",
    "PaliGemma 2, LoRA, bf16": "paligemma2_lora_bf16",
}


@pytest.mark.parametrize("title", SPEEDS)
def test_the_speeds_are_those_of_the_files_that_the_benchmark_wrote(title: str) -> None:
    (section,) = json.loads((REPOSITORY / "docs" / "bench" / f"{SPEEDS[title]}.json").read_text())["sections"]
    ours, stock, ratios = section["variants"]["ours"], section["variants"]["stock"], section["ratios"]
    time = ratios["stock"]["time"]
    row = [
        f"{ours['milliseconds'] / 1000:.2f}",
        f"{stock['milliseconds'] / 1000:.1f}",
        f"{time['ratio']:.1f} ({time['low']:.1f} to {time['high']:.1f})",
        f"{ratios['stock_checkpointed']['time']['ratio']:.1f}",
        f"{ratios['strong']['time']['ratio']:.2f}",
        f"{ours['extra_mib']:.0f} and {stock['extra_mib']:,.0f}",
        f"{ratios['stock']['extra_memory']:.1f}",
    ]
    assert f"| {title} | {' | '.join(row)} |" in README
    assert all(gate["holds"] for gate in section["gates"])
