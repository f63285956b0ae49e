"""What each of two processes does in `test_distributed.py`: arguments are the folder for its findings."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import uneven_shares
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from finetune.data.packing import Batch, pack
from finetune.engine.distributed import Ranks
from finetune.engine.loss import example_loss_weights
from finetune.engine.optimizer import Sgd
from finetune.engine.schedule import Constant
from finetune.engine.step import Learner, StepReport, StepRules, train_step
from finetune.engine.stops import DiskFullError
from finetune.settings import Normalization, Precision, TrainingSettings
from finetune.types import TokenizedExample

# Below the norm of both windows' gradients.
CLIP_NORM = 0.2


class TokenLosses(nn.Module):
    """Predict each target from the token before it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(12, 8)
        self.head = nn.Linear(8, 12)

    def forward(self, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
        before = batch.input_ids.flatten()[batch.predictor_rows] % 12
        by_target = cross_entropy(self.head(self.table(before)), batch.targets % 12, reduction="none")
        sums = torch.zeros(batch.num_examples).index_add(0, batch.target_examples, by_target)
        return (sums * weights).sum(), sums.detach()


def batch_of(numbers: list[int]) -> Batch:
    examples = []
    for number in numbers:
        ids = torch.randint(1, 12, (6 + number,), generator=torch.Generator().manual_seed(number)).numpy()
        is_suffix = torch.arange(6 + number).ge(4).numpy()
        examples.append(
            TokenizedExample(sample_id=f"sample-{number}", input_ids=ids, is_suffix=is_suffix, num_image_tokens=0)
        )
    return pack(examples, torch.zeros(0, 3, 1, 1, dtype=torch.uint8), image_token_id=99)


def new_learner(ranks: Ranks, normalization: Normalization) -> tuple[Learner, TokenLosses]:
    torch.manual_seed(0)
    module = TokenLosses()
    named = list(module.named_parameters())
    group = {"params": named, "part": "decoder", "peak_learning_rate": 1.0, "lr": 1.0, "weight_decay": 0.0}
    losses, optimizer = ranks.prepare(module, Sgd(learning_rate=1.0, momentum=0.0).build([group]))
    rules = StepRules(
        training=TrainingSettings(clip_norm=CLIP_NORM, normalization=normalization),
        schedule=Constant(warmup_ratio=0.0),
        total_steps=2,
        vocabulary_size=12,
        seed=0,
    )
    return Learner(model=module, losses=losses, optimizer=optimizer, ranks=ranks, rules=rules), module


def deviation_from_one_process(ranks: Ranks, normalization: Normalization) -> tuple[float, StepReport]:
    """Return how far the update of two ranks lies from that of the whole window in one batch."""
    learner, module = new_learner(ranks, normalization)
    start = nn.utils.parameters_to_vector(module.parameters()).detach().clone()
    window = batch_of(list(range(8)))
    weights = example_loss_weights(window, normalization, num_examples=8, num_targets=int(window.num_targets.sum()))
    gradients = torch.autograd.grad(module(window, weights)[0], list(module.parameters()))
    gradient = torch.cat([gradient.flatten() for gradient in gradients])
    expected = -gradient * CLIP_NORM / gradient.norm()

    first = 4 * ranks.rank
    report = train_step(learner, 0, [batch_of([first, first + 1]), batch_of([first + 2, first + 3])])
    update = nn.utils.parameters_to_vector(module.parameters()).detach() - start
    return float((update - expected).norm() / expected.norm()), report


def step_with_one_poisoned_rank(ranks: Ranks) -> dict[str, object]:
    learner, module = new_learner(ranks, Normalization.example)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    if ranks.rank == 1:
        module.register_forward_hook(lambda module, arguments, found: tuple(value * math.nan for value in found))
    report = train_step(learner, 0, [batch_of([ranks.rank])])
    unchanged = all(torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True))
    return {"outcome": report.outcome.value, "unchanged": unchanged, "suspects": report.suspects}


def uneven_evaluations(ranks: Ranks) -> dict[int, dict[str, object]]:
    """Evaluate numbers of samples that two ranks cannot share evenly, with both and then alone."""
    alone = uneven_shares.Alone()
    return {
        number: {
            "together": uneven_shares.evaluated(ranks, number),
            "alone": uneven_shares.evaluated(alone, number),
        }
        for number in uneven_shares.NUM_EVALUATED
    }


def uneven_training(ranks: Ranks) -> dict[str, object]:
    """Train on a data set that windows do not divide, with both ranks and then alone."""
    learner, _ = new_learner(ranks, Normalization.example)
    ids, losses = [], []
    for window in uneven_shares.windows(ranks.rank, ranks.world_size).windows(0, uneven_shares.NUM_STEPS):
        losses.append(train_step(learner, window.step, window.batches).loss)
        ids.append(ranks.gather([one for batch in window.batches for one in batch.sample_ids]))
    _, module = new_learner(ranks, Normalization.example)
    own_ids, own_losses = [], []
    for window in uneven_shares.windows(0, 1).windows(0, uneven_shares.NUM_STEPS):
        own_losses.append(step_alone(module, window.batches))
        own_ids.append([one for batch in window.batches for one in batch.sample_ids])
    return {"ids": ids, "losses": losses, "ids alone": own_ids, "losses alone": own_losses}


def step_alone(module: TokenLosses, batches: Sequence[Batch]) -> float:
    """Do by hand what one process does with a whole window; return its loss."""
    num_examples = sum(batch.num_examples for batch in batches)
    loss = torch.zeros(())
    for batch in batches:
        weights = example_loss_weights(batch, Normalization.example, num_examples=num_examples, num_targets=0)
        loss = loss + module(batch, weights)[0]
    parameters = list(module.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= gradient * min(1.0, float(CLIP_NORM / norm))
    return float(loss)


def failure_on_main(ranks: Ranks) -> str:
    def fail() -> None:
        raise DiskFullError("no room")

    try:
        ranks.on_main(fail)
    except DiskFullError as error:
        return f"{error}, exit code {error.exit_code}"
    return "nothing was raised"


def main(folder: Path) -> None:
    ranks = Ranks(Precision.fp32)
    windows = {kind.name: deviation_from_one_process(ranks, kind) for kind in Normalization}
    findings = {
        "world_size": ranks.world_size,
        "deviations": {name: deviation for name, (deviation, _) in windows.items()},
        "losses": {name: report.loss for name, (_, report) in windows.items()},
        "num_examples": windows["example"][1].num_examples,
        "poisoned": step_with_one_poisoned_rank(ranks),
        "evaluations": uneven_evaluations(ranks),
        "training": uneven_training(ranks),
        "sum": ranks.sum([1.0 + ranks.rank, 0.25]),
        "gathered": ranks.gather([f"from {ranks.rank}"]),
        "broadcast": ranks.broadcast({"rank": ranks.rank}),
        "on_main": ranks.on_main(lambda: ranks.rank),
        "failure": failure_on_main(ranks),
    }
    (folder / f"{ranks.rank}.json").write_text(json.dumps(findings))
    ranks.wait()
    ranks.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
