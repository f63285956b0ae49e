"""Teach the tiny model's image encoder to see before the model learns to speak; SigLIP, too, is trained alone first.

    .venv/bin/python scripts/pretrain_image_encoder.py FOLDER [--scenes 40000] [--passes 2.5]

Each patch of a rendered scene says what lies in it: the shape, its colour, the edges of its box, the word. That is 64
answers an image where a caption is one, and no decoder has to be trained along. The answers come from a linear layer
that is thrown away; what is kept is a whole model with untrained connector and decoder, in FOLDER, for model=local.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from jaxtyping import Bool, Float, Int64, UInt8
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from datasets_adapters.scene_drawing import COLOURS, SHAPES, Word, draw, word_patch
from datasets_adapters.scene_layout import Ingredients, Scene, arrange
from finetune.engine.muon import MuonWithAdam
from finetune.export.placing import placed
from finetune.model.choices import PATCH_SIZE, TINY_CHECKPOINT, TINY_IMAGE_SIZE, TinyModel
from finetune.model.image_encoder import patch_states, vision_tower

SIDE = TINY_IMAGE_SIZE // PATCH_SIZE
# The shapes, colours and backgrounds of dataset=scenes; the words of experiment=pretrain_tiny.
SHAPE_NAMES, COLOUR_NAMES = list(SHAPES)[:3], list(COLOURS)[:4]
EXPERIMENT = Path(__file__).parent.parent / "conf" / "experiment" / "pretrain_tiny.yaml"
PARTS = yaml.safe_load(EXPERIMENT.read_text(encoding="utf-8"))["recipe"]["parts"]
WORDS: list[str] = PARTS["words"]["dataset"]["words"]
INGREDIENTS = Ingredients(
    image_size=TINY_IMAGE_SIZE,
    shapes=SHAPE_NAMES,
    colours=COLOUR_NAMES,
    words=WORDS,
    backgrounds=["flat", "gradient", "noise", "stripes"],
    num_shapes=(1, 3),
    num_words=(1, 2),
    min_visible=0.5,
)
# A patch belongs to what covers at least so much of it.
COVERED = 0.2
# Shape there, word there, which shape, which colour, which word, four edges.
WIDTHS = (1, 1, len(SHAPE_NAMES), len(COLOUR_NAMES), len(WORDS), 4)
BATCH_SIZE = 64
LEARNING_RATE, ADAM_LEARNING_RATE = 0.02, 1e-3
RECORD = "image_encoder.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Scenes with the answers of their patches, row by row; -1 where there is none to give.

    Args:
        edges: Top, left, bottom and right of the visible box around the patch's shape, relative to the patch's centre,
            in fractions of the image.
    """

    pixels: UInt8[np.ndarray, "scenes 3 size size"]
    shapes: Int64[np.ndarray, "scenes patches"]
    colours: Int64[np.ndarray, "scenes patches"]
    words: Int64[np.ndarray, "scenes patches"]
    edges: Float[np.ndarray, "scenes patches 4"]


def main() -> None:
    """Render, train, report on held-out scenes and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--scenes", type=int, default=40_000, help="different training scenes")
    parser.add_argument("--passes", type=float, default=2.5, help="how often each is seen")
    parser.add_argument("--processes", type=int, default=2, help="processes that render, threads that train")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.processes)
    train_scenes = render_all(arguments.scenes, arguments.processes, held_out=False)
    held_out = render_all(512, arguments.processes, held_out=True)
    loaded = TinyModel().load()
    head = nn.Linear(loaded.model.config.vision_config.hidden_size, sum(WIDTHS))
    tower = vision_tower(loaded.model)
    started = time.monotonic()
    train(tower, head, train_scenes, round(arguments.scenes * arguments.passes / BATCH_SIZE))
    record = {
        "scenes": arguments.scenes,
        "passes": arguments.passes,
        "training_seconds": round(time.monotonic() - started),
        "held_out": {name: round(value, 4) for name, value in score(tower, head, held_out).items()},
    }
    print(json.dumps(record, indent=2))
    write(loaded.model, record, arguments.folder)


def render_all(number: int, processes: int, *, held_out: bool) -> Seen:
    """Render scenes of one side of the split that dataset=scenes makes."""
    with Pool(processes) as pool:
        tasks = [(seed, held_out) for seed in range(number)]
        rows = list(track(pool.imap(render, tasks, chunksize=64), total=number, description="rendering"))
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    return Seen(pixels=columns[0], shapes=columns[1], colours=columns[2], words=columns[3], edges=columns[4])


def render(task: tuple[int, bool]) -> tuple[np.ndarray, ...]:
    """Render one scene with the answers of its patches."""
    seed, held_out = task
    rng = np.random.default_rng([2, int(held_out), seed])
    scene, owners = arrange(INGREDIENTS, rng)
    while scene.is_held_out() != held_out:
        scene, owners = arrange(INGREDIENTS, rng)
    pixels = draw(scene.background, scene.shapes, scene.words, image_size=TINY_IMAGE_SIZE)
    shapes, colours, edges = shape_answers(scene, owners)
    return pixels.transpose(2, 0, 1), shapes, colours, word_answers(scene.words), edges


def shape_answers(scene: Scene, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shape and colour of each patch, and the edges of that shape's box relative to the patch's centre."""
    seen = [owners == number for number in range(len(scene.shapes))]
    shares = np.stack([share_of_patches(mask) for mask in seen])
    winner = np.where(shares.max(axis=0) >= COVERED, shares.argmax(axis=0), -1)
    names = [SHAPE_NAMES.index(shape.name) for shape in scene.shapes]
    colours = [COLOUR_NAMES.index(shape.colour) for shape in scene.shapes]
    boxes = np.array([box_of(mask) for mask in seen])
    centres = (np.arange(SIDE) + 0.5) / SIDE
    vertical, horizontal = np.repeat(centres, SIDE), np.tile(centres, SIDE)
    edges = boxes[winner] - np.stack([vertical, horizontal, vertical, horizontal], axis=1)
    is_empty = winner < 0
    return (
        np.where(is_empty, -1, np.array(names)[winner]),
        np.where(is_empty, -1, np.array(colours)[winner]),
        edges.astype(np.float32),
    )


def word_answers(words: Sequence[Word]) -> np.ndarray:
    """Return the word whose rectangle covers each patch."""
    answers = np.full(SIDE * SIDE, -1)
    for word in words:
        rectangle = np.zeros((TINY_IMAGE_SIZE, TINY_IMAGE_SIZE), dtype=bool)
        rectangle[word_patch(word, outlined=True).window] = True
        answers[share_of_patches(rectangle) >= COVERED] = WORDS.index(word.text)
    return answers


def share_of_patches(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, " patches"]:
    """Return how much of each patch a mask covers."""
    shares: Float[np.ndarray, " patches"] = (
        mask.reshape(SIDE, PATCH_SIZE, SIDE, PATCH_SIZE).mean(axis=(1, 3)).reshape(-1)
    )
    return shares


def box_of(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float, float, float]:
    """Return top, left, bottom and right of a mask, in fractions of the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    return top / TINY_IMAGE_SIZE, left / TINY_IMAGE_SIZE, bottom / TINY_IMAGE_SIZE, right / TINY_IMAGE_SIZE


def train(tower: nn.Module, head: nn.Module, scenes: Seen, num_steps: int) -> None:
    """Train encoder and head together; the learning rate rises for a twentieth and falls along a cosine."""
    parameters = [*tower.named_parameters(), *head.named_parameters()]
    for _, parameter in parameters:
        parameter.requires_grad_(True)
    groups = [
        {
            "params": [p for name, p in parameters if is_matrix(name, p) is wanted],
            "is_matrix": wanted,
            "weight_decay": 0.0,
        }
        for wanted in (True, False)
    ]
    optimizer = MuonWithAdam(groups, momentum=0.95, beta1=0.9, beta2=0.98, epsilon=1e-8)
    started, recent = time.monotonic(), []
    for step, chosen in enumerate(batches(len(scenes.pixels), num_steps)):
        factor = min(1.0, (step + 1) / (0.05 * num_steps)) * 0.5 * (1 + np.cos(np.pi * step / num_steps))
        for group in optimizer.param_groups:
            group["lr"] = factor * (LEARNING_RATE if group["is_matrix"] else ADAM_LEARNING_RATE)
        with torch.autocast("cpu", torch.bfloat16):
            loss = patch_loss(answers_of(tower, head, scenes.pixels[chosen]), scenes, chosen)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in parameters], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent.append(loss.item())
        if (step + 1) % 50 == 0:
            rate = (step + 1) * BATCH_SIZE / (time.monotonic() - started)
            left = (num_steps - step - 1) * BATCH_SIZE / rate
            print(
                f"{step + 1}/{num_steps} loss {np.mean(recent[-50:]):.3f}, {rate:.0f} scenes/s, {left:.0f} s left",
                flush=True,
            )


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether Muon trains it: matrices of the encoder's layers."""
    return parameter.ndim == 2 and name.startswith("encoder.")


def batches(number: int, num_steps: int) -> Iterator[Int64[np.ndarray, " chosen"]]:
    """Yield scenes at random, all of them before any of them again."""
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(number) for _ in range(-(-num_steps * BATCH_SIZE // number))])
    for step in range(num_steps):
        yield order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]


def answers_of(tower: nn.Module, head: nn.Module, pixels: UInt8[np.ndarray, "b 3 size size"]) -> tuple[Tensor, ...]:
    """Return what each patch says, by question."""
    states = patch_states(tower, torch.from_numpy(pixels).float() / 127.5 - 1)
    return torch.split(head(states).float(), WIDTHS, dim=-1)


def patch_loss(answers: tuple[Tensor, ...], scenes: Seen, chosen: np.ndarray) -> Tensor:
    """Add up the losses of all questions; a question counts where it has an answer."""
    is_shape, is_word, shape, colour, word, edges = answers
    shapes, colours, words = (
        torch.from_numpy(column[chosen]) for column in (scenes.shapes, scenes.colours, scenes.words)
    )
    there = shapes >= 0
    return (
        binary_cross_entropy_with_logits(is_shape[..., 0], there.float())
        + binary_cross_entropy_with_logits(is_word[..., 0], (words >= 0).float())
        + cross_entropy(shape.flatten(0, 1), shapes.flatten(), ignore_index=-1)
        + cross_entropy(colour.flatten(0, 1), colours.flatten(), ignore_index=-1)
        + cross_entropy(word.flatten(0, 1), words.flatten(), ignore_index=-1)
        + 10 * smooth_l1_loss(edges[there], torch.from_numpy(scenes.edges[chosen])[there], beta=0.02)
    )


@torch.no_grad()
def score(tower: nn.Module, head: nn.Module, scenes: Seen) -> dict[str, float]:
    """Return how often patches are right, and how far edges are off."""
    _, _, shape, colour, word, edges = answers_of(tower, head, scenes.pixels)
    shapes, colours, words = (torch.from_numpy(column) for column in (scenes.shapes, scenes.colours, scenes.words))
    there, written = shapes >= 0, words >= 0
    off = (edges - torch.from_numpy(scenes.edges))[there].abs()
    return {
        "shapes": (shape.argmax(-1) == shapes)[there].float().mean().item(),
        "colours": (colour.argmax(-1) == colours)[there].float().mean().item(),
        "words": (word.argmax(-1) == words)[written].float().mean().item(),
        "median edge error, of the image": off.median().item(),
    }


def write(model: nn.Module, record: dict[str, Any], folder: Path) -> None:
    """Write the whole model with its tokenizer, as model=local reads it, and what was done in RECORD."""
    with placed(folder) as partial:
        model.save_pretrained(partial)
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
            (partial / name).write_bytes((TINY_CHECKPOINT / name).read_bytes())


if __name__ == "__main__":
    main()
