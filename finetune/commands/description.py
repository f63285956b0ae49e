"""What a run is, told to its report and its trackers, and what of it must not change while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune.commands.mask_codec import codec_in_use, codec_of_weights
from finetune.commands.run_identity import BASE, MASK_CODEC, immutable_settings, run_folder
from finetune.commands.session import Session
from finetune.config.build import TARGET
from finetune.config.commands import EvaluateCommand
from finetune.config.plain import as_yaml, plain
from finetune.config.schema import RunConfig
from finetune.data.mixture import Mixture
from finetune.engine.identity import Identity
from finetune.evaluate.report import EVALUATED
from finetune.evaluate.self_test import SelfTestReport
from finetune.export.model_card import RunFacts
from finetune.model.freeze import PartCount
from finetune.model.published import published_name
from finetune.reporting.description import RunDescription, RunSubject, Table
from finetune.reporting.redaction import redact_text, secrets_of
from finetune.reporting.run_folder import RunFolder
from finetune.wording import counted


def identity_of(session: Session) -> Identity:
    """Return the settings that a resumed run must share, with the base model and codec that were found; no secrets."""
    base = {"name": session.loaded.base_name, "revision": session.loaded.base_revision}
    codec = codec_in_use(session.config)
    taught = {} if codec is None else {MASK_CODEC: asdict(codec)}
    return Identity(settings=immutable_settings(session.config) | {BASE: base} | taught)


def describe_run(session: Session, num_steps: int, experiment: str | None = None) -> RunDescription:
    """Say what the session's run is.

    Args:
        experiment: The experiment that was chosen, if one was.
    """
    batch_size = session.config.training.global_batch_size
    trained = {
        "training": _kind(session.config.peft),
        "length": f"{counted(num_steps, 'step')} of {counted(batch_size, 'example')}",
    }
    subject = _subject(session, experiment, splits_of(session.config), splits_of(session.config, is_training=True))
    return _describe(session, num_steps, trained, subject)


def describe_evaluation(
    session: Session, command: EvaluateCommand, step: int, experiment: str | None = None
) -> RunDescription:
    """Say what is evaluated: the weights of a run after `step`, or the base model."""
    split = command.split or splits_of(session.config)
    if command.run is None:
        return _describe(
            session, 0, {"training": "none: the base model"}, _subject(session, experiment, split, trained_split="")
        )
    trained = {"training": _kind(session.config.peft), "weights": f"step {step:,} of {command.run}"}
    subject = _subject(session, experiment, split, _trained_split(session.config, Path(command.run)))
    return _describe(session, 0, trained, subject)


def splits_of(config: RunConfig, *, is_training: bool = False) -> str:
    """Return the split that is evaluated or trained on; those of a mixture's data sets, each once, as a sum."""
    parts = config.recipe.parts.values() if isinstance(config.recipe, Mixture) else ()
    datasets = [part.dataset or config.dataset for part in parts] or [config.dataset]
    return "+".join(dict.fromkeys(dataset.train_split if is_training else dataset.eval_split for dataset in datasets))


def _trained_split(config: RunConfig, run: Path) -> str:
    """Return what a run was trained on where that is of the data set that `config` scores."""
    recorded = RunFolder(path=run).read_description()
    same = recorded.get("config", {}).get("dataset", {}).get(TARGET) == plain(config)["dataset"][TARGET]
    return str((recorded.get("subject") or {}).get("trained_split", "")) if same else ""


def _subject(session: Session, experiment: str | None, split: str, trained_split: str) -> RunSubject:
    loaded = session.loaded
    decoder = loaded.model.config.text_config
    return RunSubject(
        experiment=experiment,
        model=published_name(
            loaded.base_name,
            generation=loaded.generation,
            width=decoder.hidden_size,
            layers=decoder.num_hidden_layers,
        ),
        image_size=loaded.image_size,
        split=split,
        trained_split=trained_split,
    )


def _describe(session: Session, num_steps: int, trained: Mapping[str, str], subject: RunSubject) -> RunDescription:
    config, loaded = session.config, session.loaded
    assert config.name is not None, "the command line names every run"
    headline = {
        "model": f"{loaded.base_name} (PaliGemma {loaded.generation})",
        "image": f"{loaded.image_size} x {loaded.image_size} px, {loaded.num_image_tokens} tokens",
        "recipe": _kind(config.recipe),
        "data": _kind(config.dataset),
        **_codec_fact(config),
        **trained,
        "seed": str(config.seed),
    }
    return RunDescription(
        name=config.name,
        num_steps=num_steps,
        config=plain(config),
        config_text=as_yaml(config),
        subject=subject,
        headline=headline,
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


def groups_table(groups: Sequence[Mapping[str, Any]]) -> Table:
    """List what trains alike: its learning rate at the schedule's peak, and its weight decay.

    Args:
        groups: Those of a built optimizer, made from `finetune.engine.parameter_groups`.
    """
    rows = tuple(
        (
            group["part"].replace("_", " "),
            f"{sum(parameter.numel() for parameter in group['params']):,}",
            f"{group['peak_learning_rate']:g}",
            f"{group['weight_decay']:g}",
        )
        for group in groups
    )
    return Table(title="Optimizer groups", columns=("part", "parameters", "learning rate", "weight decay"), rows=rows)


def notes_table(notes: Mapping[str, int]) -> Table:
    """List what was done to samples on purpose while training, most often first."""
    ordered = sorted(notes.items(), key=lambda note: -note[1])
    rows = tuple((note, f"{count:,}") for note, count in ordered)
    return Table(title="Left out or changed", columns=("what", "count"), rows=rows)


def self_test_tables(report: SelfTestReport) -> tuple[Table, Table]:
    """List what was proved before the first step, and what is in force in the model."""
    checks = tuple((check.name, f"{check.measured:.3g}", check.rule) for check in report.checks)
    return (
        Table(title="Self-test", columns=("check", "measured", "rule"), rows=checks),
        Table(title="In force", columns=("fact",), rows=tuple((fact,) for fact in report.facts)),
    )


def run_facts(config: RunConfig, step: int) -> RunFacts:
    """Return what a model card says about the run after `step`: its scores are those of its evaluation there.

    A card is made to be published, so its settings are without secrets.
    """
    assert config.name is not None, "the command line names every run"
    return RunFacts(
        name=config.name,
        recipe=_kind(config.recipe),
        dataset=_kind(config.dataset),
        settings=redact_text(as_yaml(config), secrets_of(plain(config))),
        scores=_scores_at(RunFolder(path=run_folder(config)), step),
        step=step,
        num_images=config.data.num_images,
        mask_codec=codec_of_weights(config, step),
    )


def _scores_at(folder: RunFolder, step: int) -> dict[str, float]:
    return {
        name.removeprefix(EVALUATED): value
        for line in folder.read_metrics()
        if line.step == step
        for name, value in line.values.items()
        if name.startswith(EVALUATED)
    }


def _codec_fact(config: RunConfig) -> dict[str, str]:
    codec = codec_in_use(config)
    return {} if codec is None else {"mask codec": str(codec)}


def _kind(choice: object) -> str:
    return type(choice).__name__
