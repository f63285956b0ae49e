"""What a run is, told to its report and its trackers, and what of it must not change while it runs."""

from typing import Any

from finetune.commands.session import Session
from finetune.config.plain import as_yaml, plain
from finetune.engine.identity import Identity
from finetune.evaluate.report import EVALUATED
from finetune.evaluate.self_test import SelfTestReport
from finetune.export.model_card import RunFacts
from finetune.model.freeze import PartCount
from finetune.reporting.description import RunDescription, Table
from finetune.reporting.run_folder import RunFolder

# Where, how fast and how closely watched: everything else decides what is computed.
_MUTABLE = {
    "name": True,
    "runs": True,
    "resume": True,
    "plugins": True,
    "tracking": True,
    "evaluation": True,
    "checkpoint": True,
    "self_test": True,
    "data": {"num_workers": True, "max_skips": True},
    "training": {"micro_batch_size": True, "gradient_checkpointing": True, "log_every_steps": True},
}


def identity_of(session: Session) -> Identity:
    """Return the settings that a resumed run must share, with the exact base model that was found."""
    base = {"name": session.loaded.base_name, "revision": session.loaded.base_revision}
    return Identity(settings=_without(plain(session.config), _MUTABLE) | {"base": base})


def describe_run(session: Session, num_steps: int) -> RunDescription:
    """Say what the session's run is."""
    config, loaded = session.config, session.loaded
    assert config.name is not None, "the command line names every run"
    image = f"{loaded.image_size} x {loaded.image_size} px, {loaded.num_image_tokens} tokens"
    headline = {
        "model": f"{loaded.base_name} (PaliGemma {loaded.generation})",
        "image": image,
        "recipe": _kind(config.recipe),
        "data": _kind(config.dataset),
        "training": _kind(config.peft),
        "steps": f"{num_steps:,} of {config.training.global_batch_size} examples",
        "seed": str(config.seed),
    }
    return RunDescription(
        name=config.name, num_steps=num_steps, config=plain(config), config_text=as_yaml(config), headline=headline
    )


def parts_table(counts: tuple[PartCount, ...]) -> Table:
    """List what trains, part by part."""
    rows = [(count.part.name.replace("_", " "), count.num_trainable, count.num_total) for count in counts]
    rows.append(("all", sum(count.num_trainable for count in counts), sum(count.num_total for count in counts)))
    return Table(
        title="What trains",
        columns=("part", "trained parameters", "all parameters", "share"),
        rows=tuple(
            (name, f"{trainable:,}", f"{everything:,}", f"{trainable / max(1, everything):.2%}")
            for name, trainable, everything in rows
        ),
    )


def self_test_tables(report: SelfTestReport) -> tuple[Table, Table]:
    """List what was proved before the first step, and what is in force in the model."""
    checks = tuple((check.name, f"{check.measured:.3g}", check.rule) for check in report.checks)
    return (
        Table(title="Self-test", columns=("check", "measured", "rule"), rows=checks),
        Table(title="In force", columns=("fact",), rows=tuple((fact,) for fact in report.facts)),
    )


def run_facts(session: Session, step: int) -> RunFacts:
    """Return what a model card says about the run after `step`: its scores are those of its evaluation there."""
    config = session.config
    assert config.name is not None, "the command line names every run"
    return RunFacts(
        name=config.name,
        recipe=_kind(config.recipe),
        dataset=_kind(config.dataset),
        settings=as_yaml(config),
        scores=_scores_at(RunFolder(path=session.folder), step),
        step=step,
    )


def _scores_at(folder: RunFolder, step: int) -> dict[str, float]:
    return {
        name.removeprefix(EVALUATED): value
        for line in folder.read_metrics()
        if line.step == step
        for name, value in line.values.items()
        if name.startswith(EVALUATED)
    }


def _kind(choice: object) -> str:
    return type(choice).__name__


def _without(values: dict[str, Any], left_out: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if left_out.get(name) is not True}
    return {name: _without(value, left_out[name]) if name in left_out else value for name, value in kept.items()}
