"""Make the weights of `model=tiny`: pretrain them on rendered scenes, score them on held-out ones, write their card.

    .venv/bin/python scripts/pretrain_tiny.py [--processes 2] [--runs runs] [--to FOLDER] [setting=value ...]

The image encoder first (scripts/pretrain_image_encoder.py), then the whole model. Continues where it was interrupted.
Settings are those of `finetune train`; conf/experiment/pretrain_tiny.yaml has the run's own.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from finetune.evaluate.report import EVALUATED, series_of
from finetune.model.choices import TINY_CHECKPOINT
from finetune.model.file_mode import share_tensors
from finetune.reporting.run_folder import RunFolder

RUN = "pretrain_tiny"
# What the card shows of each task, and how it is called there.
SCORES = {
    "captions": {"exact_match": "captions equal to a reference", "CIDEr": "CIDEr"},
    "questions": {"exact_match": "questions answered"},
    "words": {"CER": "character error rate"},
    "shapes": {"mAP50": "box mAP50", "mAP": "box mAP"},
    "masks": {"mIoU": "mask mIoU", "mask_mAP50": "mask mAP50"},
}
# Of an exported folder, beside its weights.
KEPT_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "mask_codec.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
)

CARD = """\
# The embedded model of `model=tiny`

PaliGemma 2 with {num_parameters:.1f} million parameters: SigLIP with 4 layers of width 128, a linear connector, Gemma 2
with 4 layers of width 192, 112 x 112 pixels (64 image tokens), a vocabulary of 2,304. float16, {megabytes:.1f} MB.
It has seen rendered scenes (`dataset=scenes`) and nothing else: it is here for tests, for demonstrations and for
trying out a configuration, not for photographs.

Masks are said in the codes of the embedded mask codec ({codec}).

## Scores

On {num_held_out} held-out scenes of the default `dataset=scenes`, by greedy decoding, from the float16 weights that are
embedded. No held-out scene can occur in training: a scene's own content decides which side it is on.

| task | score | |
|---|---|---|
{scores}

## How it was made

    {command}

The image encoder first, alone: each patch of {encoder[scenes]:,} scenes learns to say what lies in it
(scripts/pretrain_image_encoder.py), {encoder_duration}; on held-out scenes {shapes:.1%} of the patches
then name their shape. Then the whole model: {steps:,} optimizer steps of {global_batch_size} examples
({examples:,} in all; {settings_file} has the rest), {duration}. {processes} processes on {machine}, torch {torch}.
From random weights; no other data, no other model.

The scores come from

    {evaluation}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line.

    Args:
        processes: Training processes.
        runs: Where the runs' folders go.
        to: Where the weights and their card go.
        held_out: How many held-out scenes the scores are measured on.
        encoder_scenes: How many scenes the image encoder learns from.
        settings: Of `finetune train`.
    """

    processes: int
    runs: Path
    to: Path
    held_out: int
    encoder_scenes: int
    settings: list[str]

    @property
    def run(self) -> Path:
        """The training run's folder."""
        return self.runs / RUN

    @property
    def encoder(self) -> Path:
        """The model with a trained image encoder that the run starts from."""
        return self.runs / f"{RUN}_image_encoder"

    @property
    def evaluation(self) -> list[str]:
        """What the card says of how the embedded weights were scored: all five tasks on held-out scenes."""
        return [
            "evaluate",
            "recipe=mixture",
            f"dataset.num_eval={self.held_out}",
            "evaluation.max_new_tokens=96",
            "evaluation.batch_size=50",
            f"name={RUN}_held_out",
        ]


def main() -> None:
    """Train, export, score and write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2, help="training processes, one for each core or GPU")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs' folders go")
    parser.add_argument("--to", type=Path, default=TINY_CHECKPOINT, help="where the weights and their card go")
    parser.add_argument("--held-out", type=int, default=500, help="how many held-out scenes the scores are measured on")
    parser.add_argument("--encoder-scenes", type=int, default=40_000, help="scenes that the image encoder learns from")
    parser.add_argument("settings", nargs="*", help="settings of finetune train, such as training.max_steps=100")
    plan = Plan(**vars(parser.parse_args()))
    if not plan.encoder.exists():
        train_encoder(plan)
    train(plan)
    embed(plan)
    elsewhere = [] if plan.to == TINY_CHECKPOINT else ["model=local", f"model.path={plan.to}"]
    call("-m", "finetune", *plan.evaluation, f"runs={plan.runs}", *elsewhere)
    print(write_card(plan, read_scores(plan.runs / f"{RUN}_held_out")))


def train_encoder(plan: Plan) -> None:
    """Teach the image encoder to see."""
    script = Path(__file__).with_name("pretrain_image_encoder.py")
    call(str(script), str(plan.encoder), f"--scenes={plan.encoder_scenes}", f"--processes={plan.processes}")


def train(plan: Plan) -> None:
    """Run the experiment, on several processes where there are cores for them."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(plan.processes)] if plan.processes > 1 else []
    words = ["train", f"experiment={RUN}", f"model.path={plan.encoder}", f"runs={plan.runs}", *plan.settings]
    call(*launcher, "-m", "finetune", *words)


def embed(plan: Plan) -> None:
    """Export the run and keep its weights in float16, which halves them and costs no score that can be seen."""
    exported = plan.run / "export" / "merged"
    call("-m", "finetune", "export", f"run={plan.run}", "format=merged", f"to={exported}")
    plan.to.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half() for name, tensor in load_file(exported / "model.safetensors").items()}
    save_file(tensors, plan.to / "model.safetensors", metadata={"format": "pt"})
    for path in exported.iterdir():
        if path.name in KEPT_FILES:
            shutil.copyfile(path, plan.to / path.name)
    config = json.loads((plan.to / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "dtype": "float16"}, indent=2) + "\n"
    (plan.to / "config.json").write_text(text, encoding="utf-8")
    share_tensors(plan.to, like="config.json")


def read_scores(evaluated: Path) -> Mapping[str, float]:
    """Return the scores of the newest evaluation in a run's folder, by task and name."""
    newest = max((evaluated / "evaluations").glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime)
    curves = series_of(RunFolder(path=newest.parent).read_metrics())
    return {curve.name.removeprefix(EVALUATED): curve.points[-1][1] for curve in curves}


def write_card(plan: Plan, scores: Mapping[str, float]) -> str:
    """Write README.md beside the weights and return it."""
    logged = [row for row in read_rows(plan.run / "metrics.jsonl") if "loss" in row]
    steps = logged[-1]["step"]
    # Each row tells the rate since the one before it.
    spans = [row["step"] - before for row, before in zip(logged, [0, *(row["step"] for row in logged)], strict=False)]
    rates = [row["examples_per_second"] for row in logged]
    batch_size = json.loads((plan.run / "run.json").read_text(encoding="utf-8"))["config"]["training"][
        "global_batch_size"
    ]
    codec = json.loads((plan.to / "mask_codec.json").read_text(encoding="utf-8"))
    encoder = json.loads((plan.encoder / "image_encoder.json").read_text(encoding="utf-8"))
    weights = load_file(plan.to / "model.safetensors")
    card = CARD.format(
        num_parameters=sum(tensor.numel() for tensor in weights.values()) / 1e6,
        megabytes=(plan.to / "model.safetensors").stat().st_size / 1e6,
        codec=f"sha256 {codec['sha256'][:16]}",
        num_held_out=plan.held_out,
        scores="\n".join(
            f"| {task} | {label} | {scores[f'{task}/{name}']:.3f} |"
            for task, names in SCORES.items()
            for name, label in names.items()
        ),
        command=" ".join(["python scripts/pretrain_tiny.py", f"--processes {plan.processes}", *plan.settings]),
        encoder=encoder,
        encoder_duration=timedelta(seconds=encoder["training_seconds"]),
        shapes=encoder["held_out"]["shapes"],
        steps=steps,
        global_batch_size=batch_size,
        examples=steps * batch_size,
        settings_file=f"conf/experiment/{RUN}.yaml",
        processes=plan.processes,
        duration=timedelta(
            seconds=round(sum(span * batch_size / rate for span, rate in zip(spans, rates, strict=True)))
        ),
        machine=f"{os.cpu_count()} cores of {processor_name()}",
        torch=torch.__version__,
        evaluation=" ".join(["finetune", *plan.evaluation]),
    )
    (plan.to / "README.md").write_text(card, encoding="utf-8")
    return card


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def processor_name() -> str:
    """Name the processor as its maker does, where Linux tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def call(*words: str) -> None:
    """Run Python with these words in the same environment; stop with its exit code where it fails."""
    print(f"== python {' '.join(words)}", flush=True)
    code = subprocess.run([sys.executable, *words]).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
