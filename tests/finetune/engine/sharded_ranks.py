"""Trainings of a tiny PaliGemma by one process and by two, for `test_distributed_sharding.py`.

Arguments: a folder for findings, a free port, and what to train: "single=lora,full", "fsdp2=lora,full", ...
"""

import importlib.util
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from finetune.data.packing import Batch, pack
from finetune.engine.capture import Captured, capture, restore
from finetune.engine.distributed import Ranks
from finetune.engine.distribution import Distribution, Mode
from finetune.engine.optimizer import AdamW, OptimizerChoice, Sgd
from finetune.engine.schedule import Constant
from finetune.engine.step import Learner, StepRules, make_learner, train_step
from finetune.evaluate.decoding_rules import DecodingRules
from finetune.evaluate.generate import BatchGenerator
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import Checkpointing, PartFlags, PartMultipliers, Precision, TrainingSettings
from finetune.types import TokenizedExample

NUM_STEPS = 20
RESUMED_AT = 8
GLOBAL_BATCH = 8
ROW_TOKENS = 48
TIMEOUTS = {"init_timeout_seconds": 120.0, "step_timeout_seconds": 60.0, "wait_timeout_seconds": 60.0}

_spec = importlib.util.spec_from_file_location("shared", Path(__file__).parents[1] / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to train."""

    peft: Lora | FullFineTuning
    choice: OptimizerChoice = AdamW(learning_rate=3e-3)  # noqa: RUF009 (frozen)
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(micro_batch_size=2, clip_norm=0.5))
    freeze: PartFlags = field(default_factory=PartFlags)
    base: Precision = Precision.fp32


# Ranks of 3 divide no dimension evenly; every other layer is computed again; the head's table trains in `full`.
CASES = {
    "lora": Case(peft=Lora(rank=3, connector=True, image_encoder=True)),
    "full": Case(peft=FullFineTuning()),
    "lora_sgd": Case(
        peft=Lora(rank=3, fully_trained=["connector"]),
        choice=Sgd(learning_rate=0.005),
        training=TrainingSettings(micro_batch_size=2, clip_norm=None, gradient_checkpointing=Checkpointing.all),
    ),
    "full_frozen_images": Case(
        peft=FullFineTuning(),
        freeze=PartFlags(image_encoder=True),
        training=TrainingSettings(micro_batch_size=2, gradient_checkpointing=Checkpointing.mlp),
    ),
    "lora_bf16": Case(
        peft=Lora(rank=4),
        base=Precision.bf16,
        training=TrainingSettings(micro_batch_size=2, precision=Precision.bf16),
    ),
}


def new_model(case: Case) -> nn.Module:
    """Make a PaliGemma of odd sizes, always the same."""
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 30,
        "intermediate_size": 41,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": shared.IMAGE_SIZE,
        "patch_size": 14,
        "vision_use_head": False,
    }
    text = shared._TEXT | shared._GENERATIONS[2] | {"vocab_size": 45, "intermediate_size": 51}
    config = PaliGemmaConfig(
        text_config=text, vision_config=vision, image_token_index=shared.IMAGE_TOKEN, projection_dim=32
    )
    model = PaliGemmaForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
        parameter.data.normal_(0, 1.2 * fan_in**-0.5, generator=generator)
    model.eval().requires_grad_(False).to(torch.bfloat16 if case.base is Precision.bf16 else torch.float32)
    torch.manual_seed(1)
    case.peft.apply(model, case.freeze, Precision.fp32)
    return model


def new_learner(case: Case, ranks: Ranks) -> Learner:
    """Make a learner, always the same."""
    rules = StepRules(
        training=replace(case.training, global_batch_size=GLOBAL_BATCH),
        schedule=Constant(warmup_ratio=0.0),
        total_steps=NUM_STEPS,
        vocabulary_size=shared.VOCABULARY_SIZE,
        seed=7,
    )
    learner = make_learner(new_model(case), case.choice, PartMultipliers(), ranks, rules)
    learner.losses.train()
    return learner


def examples_of(num_examples: int, seed: int, *, has_suffix: bool = True) -> list[TokenizedExample]:
    """Make random examples, or prefixes to continue."""
    rng = np.random.default_rng(seed)

    def words() -> list[int]:
        return rng.integers(shared.FIRST_WORD, shared.VOCABULARY_SIZE, rng.integers(1, 7)).tolist()

    made = [shared.example_of(words(), words(), f"sample-{index}") for index in range(num_examples)]
    return made if has_suffix else [prefix_of(example) for example in made]


def prefix_of(example: TokenizedExample) -> TokenizedExample:
    """Return an example without what is to be said."""
    num_shown = int((~example.is_suffix).sum())
    return replace(example, input_ids=example.input_ids[:num_shown], is_suffix=example.is_suffix[:num_shown])


def window(step: int, ranks: Ranks, micro_batch_size: int) -> list[Batch]:
    """Return this rank's packed micro-batches of a step, each example on one rank."""
    examples = examples_of(GLOBAL_BATCH, step)
    per_rank = GLOBAL_BATCH // ranks.world_size
    own = examples[ranks.rank * per_rank : (ranks.rank + 1) * per_rank]
    groups = [own[start : start + micro_batch_size] for start in range(0, per_rank, micro_batch_size)]
    return [
        pack(group, shared.pixels_of(group), image_token_id=shared.IMAGE_TOKEN, row_tokens=ROW_TOKENS)
        for group in groups
    ]


def losses_of(learner: Learner, steps: range) -> list[float]:
    """Train some steps and return their losses."""
    size = min(learner.rules.training.micro_batch_size, GLOBAL_BATCH // learner.ranks.world_size)
    return [train_step(learner, step, window(step, learner.ranks, size)).loss for step in steps]


@dataclass(frozen=True)
class Encoded:
    """What `Waiting` looks at."""

    image_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prefix:
    """A prefix as `BatchGenerator` takes it."""

    example: TokenizedExample
    encoded: Encoded = Encoded()
    expected_characters: int = 0

    @property
    def num_tokens(self) -> int:
        return len(self.example.input_ids)


def said_of(learner: Learner, shares: list[int]) -> list[list[int]]:
    """Let each rank continue so many prefixes, each of them another number of ids long."""
    first = sum(shares[: learner.ranks.rank])
    examples = examples_of(sum(shares), 99, has_suffix=False)[first : first + shares[learner.ranks.rank]]

    generator = BatchGenerator(
        model=learner.model,
        rules=DecodingRules(max_new_tokens=6, num_beams=1, eos_id=shared.EOS, vocabulary_size=shared.VOCABULARY_SIZE),
        pack=lambda asked: pack(
            [one.example for one in asked],
            shared.pixels_of([one.example for one in asked]),
            image_token_id=shared.IMAGE_TOKEN,
        ),
        batch_size=2,
        device=learner.ranks.device,
        computing=learner.ranks.autocast,
        weights=learner.ranks.whole_weights,
    )
    found = {one.example.sample_id: ids for one, ids in generator.generate(iter([Prefix(one) for one in examples]))}
    return [found[example.sample_id] for example in examples]


def save(captured: Captured, path: Path) -> None:
    """Write a state as a checkpoint would."""
    tensors = {f"w:{name}": tensor for name, tensor in captured.trained.items()}
    save_file(tensors | {f"o:{name}": tensor for name, tensor in captured.optimizer.items()}, path)
    path.with_suffix(".json").write_text(json.dumps(captured.values))


def load(path: Path) -> Captured:
    """Read what `save` wrote."""
    tensors = load_file(path)
    return Captured(
        trained={name[2:]: tensor for name, tensor in tensors.items() if name[0] == "w"},
        optimizer={name[2:]: tensor for name, tensor in tensors.items() if name[0] == "o"},
        values=json.loads(path.with_suffix(".json").read_text()),
        scaler={},
    )


def learn(name: str, ranks: Ranks, folder: Path, label: str) -> dict[str, Any]:
    """Train a case whole, saving on the way; then go on from what one process saved, if it did."""
    case, started = CASES[name], time.monotonic()
    learner = new_learner(case, ranks)
    losses = losses_of(learner, range(RESUMED_AT))
    captured = capture(learner)
    if ranks.is_main:
        save(captured, folder / f"{name}-{label}.safetensors")
    said = ranks.gather(said_of(learner, [5, 0, 0, 0] if ranks.world_size > 1 else [5]))
    learner.losses.train()
    losses += losses_of(learner, range(RESUMED_AT, NUM_STEPS))
    last = capture(learner)
    if ranks.is_main:
        save(last, folder / f"{name}-{label}-last.safetensors")
    found = {"losses": losses, "said": said, "seconds": time.monotonic() - started}
    by_one = folder / f"{name}-single.safetensors"
    if ranks.world_size > 1 and by_one.exists():
        learner = new_learner(case, ranks)
        restore(learner, load(by_one))
        again = capture(learner)
        if ranks.is_main:
            save(again, folder / f"{name}-{label}-restored.safetensors")
        found["resumed"] = losses_of(learner, range(RESUMED_AT, NUM_STEPS))
    return found


def train(folder: Path, mode: Mode, cases: list[str]) -> None:
    """Be one rank, in as many formats as the cases ask for."""
    found: dict[str, Any] = {}
    for precision in (Precision.fp32, Precision.bf16):
        chosen = [case for case in cases if CASES[case].training.precision is precision]
        if chosen:
            ranks = Ranks(precision, Distribution(mode=mode, **TIMEOUTS))
            found |= {name: learn(name, ranks, folder, mode.name) for name in chosen}
            ranks.wait()
            ranks.end()
    (folder / f"{mode.name}-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(found))


def forked(folder: Path, mode: Mode, cases: list[str], port: int) -> bool:
    """Train with one rank for `single` and else with two, in processes that need not import all this again."""
    num_ranks = 1 if mode is Mode.single else 2
    children = []
    for rank in range(num_ranks):
        child = os.fork()
        if child:
            children.append(child)
            continue
        launched = {"WORLD_SIZE": num_ranks, "RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in launched.items()}, MASTER_ADDR="127.0.0.1")
        try:
            train(folder, mode, cases)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return all(os.waitpid(child, 0)[1] == 0 for child in children)


def main(folder: Path, first_port: int, plan: list[str]) -> None:
    """Follow a plan such as ["single=lora,full", "zero3=lora"], one division after the other."""
    torch.set_num_threads(1)
    for number, entry in enumerate(plan):
        mode, _, cases = entry.partition("=")
        if not forked(folder, Mode[mode], cases.split(","), first_port + number):
            sys.exit(f"{entry} failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
