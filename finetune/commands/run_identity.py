"""Which run a folder holds, and that a command means the same one. Imports without torch."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from finetune.commands.mask_codec import check_run_codec
from finetune.config.plain import plain
from finetune.config.schema import RunConfig
from finetune.engine.identity import Identity, changes, dotted_settings, is_covered, read_identity, require_same
from finetune.names import hint
from finetune.reporting.redaction import redact, secrets_of
from finetune.reporting.run_folder import RunFolder
from finetune.settings import ResumeMode
from finetune.tokens.codec_record import CodecRecord

IDENTITY_FILE = "identity.json"
# The exact base model that was found: known only once it is loaded.
BASE = "base"
# The codec of a run that learns masks, by name and content: a path may move, and its file may not change.
MASK_CODEC = "mask_codec"
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
    "distributed": True,
    # How examples lie in rows, and how many are computed at once, moves losses by no more than rounding does. With
    # dropout it also draws other masks: they are seeded by micro-batch and have its shape.
    # So does reading what the image encoder says from a cache, which was computed beside other images.
    "data": {"num_workers": True, "max_skips": True, "row_tokens": True, "pixel_cache": True, "feature_cache": True},
    # A branch moves and a commit does not: the commit that was found is compared in its place.
    "model": {"revision": True},
    "training": {
        "micro_batch_size": True,
        "gradient_checkpointing": True,
        "compile_layers": True,
        "log_every_steps": True,
    },
}
# What is seen in an evaluation's scores or its gallery, and what only decides when training evaluates.
_UNSEEN = _MUTABLE | {
    "evaluation": {"every_steps": True, "before_training": True, "best_metric": True, "patience": True}
}
# Where the schedule has no end, a run can be made longer.
_LENGTH = {"training": {"max_steps": True, "epochs": True}}
_WHY_NOT_LONGER = (
    "  the learning rate of this schedule depends on the number of steps from the start; to train on, export the run "
    "and start another with model=local, or start with schedule=constant and schedule.warmup_steps"
)
# Where a run stands in its samples is steps times the batch size, in an order drawn from the seed and their number.
_MAKES_ORDER = ("seed", "dataset", "recipe", "training.global_batch_size", "data.keep_images_together")
_MAKES_WEIGHTS = ("model", "peft", "freeze")


def run_folder(config: RunConfig) -> Path:
    """Return where a run's files go."""
    assert config.name is not None, "the command line names every run"
    return Path(config.runs) / config.name


def immutable_settings(config: RunConfig) -> dict[str, Any]:
    """Return the settings that a resumed run must share, without secrets."""
    settings = _redacted(config, _MUTABLE)
    settings["recipe"] = _without_codec(settings["recipe"])
    return settings if config.schedule.depends_on_total_steps else _without(settings, _LENGTH)


def require_same_settings(recorded: Identity, current: Identity, folder: Path, allowed: Collection[str] = ()) -> None:
    """Refuse to continue a run with other settings, and say why its length is one.

    Which codec masks are said in is compared by `check_run_codec`, for two names may stand for one.

    Args:
        allowed: Dotted names that the user lets differ (`resume.allow`).

    Raises:
        ValueError: One line for each setting that differs.
    """
    reasons = {f"training.{name}": _WHY_NOT_LONGER for name in _LENGTH["training"]}
    before, now = (
        Identity(settings={name: value for name, value in identity.settings.items() if name != MASK_CODEC})
        for identity in (recorded, current)
    )
    require_same(before, now, folder, reasons=reasons, allowed=allowed)


def override_notes(identity: Identity) -> list[str]:
    """Say what `resume.allow` let change since the run began, and what that means for the order of its samples."""
    notes = [
        f"changed after step {override.step} (resume.allow): {change}"
        for override in identity.overrides
        for change in override.changes
    ]
    reordered = [
        change.setting
        for override in identity.overrides
        for change in override.changes
        if is_covered(change.setting, _MAKES_ORDER)
    ]
    if reordered:
        notes.append(
            f"samples come in another order since {reordered[-1]} changed; in that epoch, some come twice or not at all"
        )
    return notes


def scored_difference(config: RunConfig, *, is_run: bool) -> str:
    """Say in which settings, of those that scores and gallery depend on, an evaluation differs from its run's own.

    Args:
        is_run: Whether a run's weights are evaluated; a base model has no run, so that all of its settings are said.
    """
    stored = RunFolder(path=run_folder(config)).read_description().get("config", {}) if is_run else {}
    before, now = _without(stored, _UNSEEN), _redacted(config, _UNSEEN)
    return "\n".join(changes(Identity(settings=before), Identity(settings=now)))


def require_resumable(config: RunConfig) -> None:
    """Hold the run's folder against `resume` and against the settings that it was started with.

    Raises:
        ValueError: If the folder is there and must not be, is not and must, or is another run's.
    """
    path = run_folder(config) / IDENTITY_FILE
    current = Identity(settings=immutable_settings(config))
    if not path.exists():
        _check_allowed(config, current)
        if config.resume.mode is ResumeMode.require:
            raise ValueError(f"resume.mode=require, but {path.parent} holds no run; check name and runs")
        return
    if config.resume.mode is ResumeMode.never:
        raise ValueError(f"resume.mode=never, but {path.parent} holds a run already; give this one another name")
    recorded = read_identity(path)
    _check_allowed(config, recorded, current)
    known_now = {name: value for name, value in recorded.settings.items() if name != BASE}
    require_same_settings(Identity(settings=known_now), current, path.parent, config.resume.allow)
    check_run_codec(config, recorded_codec(path.parent), path.parent)


def require_same_weights(config: RunConfig) -> None:
    """Refuse settings that would make another model of a trained run's weights, or read its masks with another codec.

    A base model's folder may have moved, which is said.

    Raises:
        ValueError: One line for each setting that differs; or if the folder holds no run.
    """
    folder = run_folder(config)
    path = folder / IDENTITY_FILE
    if not path.exists():
        raise ValueError(f"run={folder}: the folder holds no {path.name}, so no training has begun there")
    before, now = (
        {name: settings[name] for name in _MAKES_WEIGHTS}
        for settings in (read_identity(path).settings, immutable_settings(config))
    )
    old_path, new_path = before["model"].pop("path", None), now["model"].pop("path", None)
    if differences := changes(Identity(settings=before), Identity(settings=now)):
        raise ValueError(
            f"run={folder} has weights for other settings than these; leave them out\n" + "\n".join(differences)
        )
    if old_path != new_path:
        print(f"warning: the base model is read from {new_path}; the run was trained on {old_path}", file=sys.stderr)
    check_run_codec(config, recorded_codec(folder), folder)


def recorded_codec(folder: Path) -> CodecRecord | None:
    """Return the codec that a run was trained with; None where it was taught no masks."""
    recorded = read_identity(folder / IDENTITY_FILE).settings.get(MASK_CODEC)
    return None if recorded is None else CodecRecord(**recorded)


def require_same_base(config: RunConfig, base_name: str, revision: str | None) -> None:
    """Refuse a base model that was changed on the hub since a run was trained on it.

    Raises:
        ValueError: Naming the commit that was.
    """
    recorded = read_identity(run_folder(config) / IDENTITY_FILE).settings[BASE]["revision"]
    if recorded != revision:
        raise ValueError(
            f"the run was trained on commit {recorded} of {base_name}, and this is {revision}; "
            f"add model.revision={recorded}"
        )


def _check_allowed(config: RunConfig, *identities: Identity) -> None:
    known = sorted({name for identity in identities for name in dotted_settings(identity)})
    for name in config.resume.allow:
        if name == MASK_CODEC or not any(is_covered(setting, [name]) for setting in known):
            raise ValueError(
                f"resume.allow: {name} is no setting that a run keeps, so it may differ or does not exist; "
                f"{hint(name, known)}"
            )


def _redacted(config: RunConfig, left_out: dict[str, Any]) -> dict[str, Any]:
    settings = plain(config)
    kept: dict[str, Any] = redact(_without(settings, left_out), secrets_of(settings))
    return kept


def _without_codec(recipe: Any) -> Any:
    """Leave out where the codec's file lies, in a recipe or in the parts of a mixture."""
    if not isinstance(recipe, dict):
        return recipe
    return {name: _without_codec(value) for name, value in recipe.items() if name != MASK_CODEC}


def _without(values: dict[str, Any], left_out: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if left_out.get(name) is not True}
    return {
        name: _without(value, left_out[name]) if name in left_out and isinstance(value, dict) else value
        for name, value in kept.items()
    }
