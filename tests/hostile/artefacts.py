"""Files that would run code, read what they must not, or fill the memory of whoever trusted them.

Whatever they run leaves a canary: a file of that name in the current folder.
"""

import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune.model.choices import TINY_CHECKPOINT

CANARY = "canary"
TOUCH = f"touch {CANARY}"


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """Something malicious, and the command line that meets it.

    Args:
        make: Writes it into a folder and returns the command line.
        answer: What the refusal says; None where it is harmless because it is never read, and the command succeeds.
    """

    name: str
    make: Callable[[Path], list[str]]
    answer: str | None


class _Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (TOUCH,)


PICKLE = pickle.dumps(_Payload())


def model(*, without: tuple[str, ...] = ("model.safetensors",), **files: bytes) -> Callable[[Path], list[str]]:
    """Copy the embedded model, leave files out, and put others in; `__` stands for a dot in their names."""

    def make(folder: Path) -> list[str]:
        target = folder / "model"
        shutil.copytree(TINY_CHECKPOINT, target)
        for name in without:
            (target / name).unlink()
        for name, content in files.items():
            path = target / name.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return ["export", "model=local", f"model.path={target}", "format=merged", f"to={folder}/out"]

    return make


def config(**changes: object) -> Callable[[Path], list[str]]:
    """Change the embedded model's config.json."""

    def make(folder: Path) -> list[str]:
        content = json.loads((TINY_CHECKPOINT / "config.json").read_text())
        for name, value in changes.items():
            section, _, last = name.rpartition("__")
            (content[section] if section else content)[last] = value
        remote = b"open('canary', 'w')\n"
        return model(without=(), config__json=json.dumps(content).encode(), modeling_evil__py=remote)(folder)

    return make


def safetensors(header: object, length: int | None = None, data: bytes = b"") -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded) if length is None else length) + encoded + data


_F32 = {"dtype": "F32", "shape": [2]}
OVERLAP = safetensors({"a": {**_F32, "data_offsets": [0, 8]}, "b": {**_F32, "data_offsets": [4, 12]}}, data=bytes(12))
BEYOND = safetensors({"a": {**_F32, "data_offsets": [0, 1 << 40]}}, data=bytes(8))
_INDEX = "model__safetensors__index__json"
NO_SAFETENSORS = "the weights are no safetensors"


def index(name: str) -> dict[str, bytes]:
    return {_INDEX: json.dumps({"weight_map": {"lm_head.weight": name}}).encode(), "evil__bin": PICKLE}


def adapter(folder: Path) -> list[str]:
    target = folder / "adapter"
    target.mkdir()
    (target / "adapter_config.json").write_text('{"base_model_name_or_path": "/etc", "auto_mapping": {"x": "os"}}')
    (target / "adapter_model.bin").write_bytes(PICKLE)
    return ["export", "model=local", f"model.path={target}", "format=merged", f"to={folder}/out"]


def object_array(command: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        arrays = {"params/img/embedding/kernel": np.array([_Payload()], dtype=object)}
        np.savez(folder / "evil.npz", **arrays, allow_pickle=True)
        return command(folder)

    return make


def npz_model(folder: Path) -> list[str]:
    return ["export", "model=npz", f"model.path={folder}/evil.npz", "format=merged", f"to={folder}/out"]


def codec(folder: Path) -> list[str]:
    return ["train", "recipe=segmentation", f"recipe.mask_codec={folder}/evil.npz"]


def pickle_named_npz(folder: Path) -> list[str]:
    (folder / "evil.npz").write_bytes(PICKLE)
    return npz_model(folder)


def npz_of_a_terabyte(folder: Path) -> list[str]:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117) + b"\n"
    with zipfile.ZipFile(folder / "evil.npz", "w") as archive:
        archive.writestr("params/img/embedding/kernel.npy", member)
    return npz_model(folder)


def npz_that_climbs(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "evil.npz", "w") as archive:
        archive.writestr(f"../../../../{folder}/{CANARY}.npy", b"x")
    return npz_model(folder)


def expected(folder: Path) -> list[str]:
    kernel = "params/img/embedding/kernel"
    names = ("llm/embedder/input_embedding", "img/embedding/kernel", "img/pos_embedding")
    np.savez(folder / "checkpoint.npz", **{f"params/{name}": np.zeros((2, 2), np.float32) for name in names})
    np.savez(folder / "expected.npz", logits=np.array([_Payload()], dtype=object), **{kernel: np.zeros(1)})
    return ["verify", f"{folder}/checkpoint.npz", f"{folder}/expected.npz"]


def run(*overrides: str) -> Callable[[Path], list[str]]:
    """Write the folder of a run that was started so."""

    def make(folder: Path) -> list[str]:
        run = folder / "runs" / "evil"
        run.mkdir(parents=True)
        (run / "overrides.json").write_text(json.dumps({"command": "train", "overrides": list(overrides)}))
        (run / "config.yaml").write_text(f"optimizer: !!python/object/apply:os.system ['{TOUCH}']\n")
        (run / "identity.json").write_text("{}")
        return ["evaluate", f"run={run}"]

    return make


def typed(*words: str) -> Callable[[Path], list[str]]:
    return lambda folder: ["train", *words]


def own_choice(text: str) -> Callable[[Path], list[str]]:
    """Write a choice of the user's own, as downloaded with somebody's recipe."""

    def make(folder: Path) -> list[str]:
        (folder / "conf" / "optimizer").mkdir(parents=True)
        (folder / "conf" / "optimizer" / "evil.yaml").write_text(text)
        return ["train", "--config-dir", f"{folder}/conf", "optimizer=evil"]

    return make


def linked_run(folder: Path) -> list[str]:
    run = folder / "runs" / "linked"
    run.mkdir(parents=True)
    (folder / "precious.txt").write_text("precious")
    (run / "lock").symlink_to(folder / "precious.txt")
    (run / "metrics.jsonl").symlink_to(folder / "precious.txt")
    return ["train", f"runs={folder}/runs", "name=linked", "training.max_steps=1"]


def voc(document_type: str) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / "voc" / name).mkdir(parents=True)
        (folder / "voc/ImageSets/Main/train.txt").write_text("a\n")
        (folder / "voc/JPEGImages/a.jpg").write_bytes(b"x")
        text = f"<?xml version='1.0'?>{document_type}<annotation><object><name>&x;</name></object></annotation>"
        (folder / "voc/Annotations/a.xml").write_text(text)
        return ["inspect", "dataset=voc", f"dataset.root={folder}/voc", f"to={folder}/page.html"]

    return make


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10 if n else 'ha'}'>" for n in range(12))


def archive(kind: str) -> Callable[[Path], list[str]]:
    """Write a folder of images with an archive in it whose member climbs out."""

    def make(folder: Path) -> list[str]:
        images = folder / "images" / "train"
        images.mkdir(parents=True)
        (folder / "evil").write_bytes(b"x")
        if kind == "tar":
            with tarfile.open(images / "evil.tar", "w") as archive:
                archive.add(folder / "evil", f"../../../{CANARY}")
                archive.add(folder / "evil", str(Path.cwd() / CANARY))
        else:
            with zipfile.ZipFile(images / "evil.zip", "w") as archive:
                archive.write(folder / "evil", f"../../../{CANARY}")
        return ["inspect", "dataset=hf", f"dataset.path={folder}/images", f"to={folder}/page.html"]

    return make


def script(folder: Path) -> list[str]:
    data = folder / "dataset"
    data.mkdir()
    (data / "dataset.py").write_text(f"open({CANARY!r}, 'w')\n")
    (data / "dataset_infos.json").write_text("{}")
    return ["inspect", "dataset=hf", f"dataset.path={data}", f"to={folder}/page.html"]
