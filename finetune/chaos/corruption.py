"""The newest checkpoint, damaged: the run says so, by name, and continues exactly from the one before it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import published, state_file, step_of
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.promise import Promise
from finetune.engine.checkpoint import CheckpointStore

_TASK = "damaged checkpoints"
_MISTAKE = 2
_TRAINED, _OPTIMIZER, _MANIFEST = "trained.safetensors", "optimizer.safetensors", "MANIFEST.json"


def corrupt(lab: Laboratory, method: str) -> Promise:
    """Damage a finished run's newest checkpoint in each way, and start the run again."""
    promise = Promise(
        fault=Fault.corruption.name,
        text=f"newest checkpoint damaged, {method}: named, passed over for the one before, and nothing differs",
    )
    lab.progress.begin(_TASK, len(DAMAGES) + 1)
    for number, (name, damage) in enumerate(DAMAGES.items(), start=1):
        trial = Trial(name=f"damage-{name.replace(' ', '-')}-{method}", method=method)
        if promise.note(_damage_newest(lab, trial, damage), name):
            lab.forget(trial)
        lab.progress.advance(_TASK, number, {})
    trial = Trial(name=f"damage-all-{method}", method=method)
    if promise.note(_damage_all(lab, trial), "every checkpoint damaged"):
        lab.forget(trial)
    lab.progress.end(_TASK)
    promise.worst = f"{promise.tried - promise.held} of {promise.tried} damages not found or not survived"
    return promise


def _damage_newest(lab: Laboratory, trial: Trial, damage: Callable[[Path, Path], None]) -> list[str]:
    shutil.copytree(lab.reference_folder(trial), lab.folder(trial))
    older, newest = published(lab.folder(trial))[-2:]
    damage(newest, older)
    problems = _named_is_refused(newest)
    problems += lab.finish(trial)
    said = lab.log(trial).read_text(encoding="utf-8")
    if not any(newest.name in line and "damaged" in line for line in said.splitlines()):
        problems.append(f"it did not say that {newest.name} is damaged")
    return problems


def _named_is_refused(checkpoint: Path) -> list[str]:
    """Ask for a damaged checkpoint by name, which must never give another one."""
    store = CheckpointStore(checkpoint.parent, keep_last=2, warn=lambda text: None)
    try:
        store.load(step_of(checkpoint))
    except ValueError:
        return []
    return ["asked for by name, it was read"]


def _damage_all(lab: Laboratory, trial: Trial) -> list[str]:
    """Without a whole checkpoint, the run must not begin anew as if nothing had been there."""
    shutil.copytree(lab.reference_folder(trial), lab.folder(trial))
    for checkpoint in published(lab.folder(trial)):
        _flip_bit(checkpoint / _TRAINED)
    return lab.ended(lab.start(trial), lab.patience(trial), code=_MISTAKE)


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _flip_bit(path: Path) -> None:
    """Change the last bit of a file, which in safetensors is a weight's."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _empty_folder(newest: Path, older: Path) -> None:
    for path in newest.iterdir():
        path.unlink()


def _replace_hash(newest: Path, older: Path) -> None:
    """Change what the manifest says about a file that is whole."""
    manifest = json.loads((newest / _MANIFEST).read_bytes())
    manifest["files"][_TRAINED]["sha256"] = "0" * 64
    (newest / _MANIFEST).write_text(json.dumps(manifest))


# Each takes the newest checkpoint's folder and the one before it.
DAMAGES: dict[str, Callable[[Path, Path], None]] = {
    "weights cut short": lambda newest, older: _truncate(newest / _TRAINED),
    "one bit of the weights flipped": lambda newest, older: _flip_bit(newest / _TRAINED),
    "one bit of the optimizer flipped": lambda newest, older: _flip_bit(newest / _OPTIMIZER),
    "weights missing": lambda newest, older: (newest / _TRAINED).unlink(),
    "folder empty": _empty_folder,
    "manifest of another step": lambda newest, older: _copy(older / _MANIFEST, newest / _MANIFEST),
    "weights of another step": lambda newest, older: _copy(older / _TRAINED, newest / _TRAINED),
    "manifest is no JSON": lambda newest, older: _truncate(newest / _MANIFEST),
    "manifest with another hash": _replace_hash,
    "manifest empty": lambda newest, older: _write_nothing(newest / _MANIFEST),
    "state empty": lambda newest, older: _write_nothing(state_file(newest)),
    "state of another step": lambda newest, older: _copy(state_file(older), state_file(newest)),
    "a file that no run wrote": lambda newest, older: _copy(older / _TRAINED, newest / "more.safetensors"),
}


def _copy(source: Path, target: Path) -> None:
    # Not over the old file, which another checkpoint may share.
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)


def _write_nothing(path: Path) -> None:
    path.write_bytes(b"")
