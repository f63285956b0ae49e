"""An offline W&B run, read back from its own file.

The file is a log of records in blocks of 32 KiB: a header of 7 bytes, then pieces [crc32 u32 | length u16 | kind u8 |
data], kind 1 whole, 2 first, 3 middle, 4 last.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.reporting.description import RunDescription
from finetune.reporting.drawing import jpeg_bytes
from finetune.reporting.rows import PredictionRow
from finetune.reporting.trackers import WandbMode, WandbTracker
from finetune.types import Instance

_BLOCK = 32768
_HEADER = struct.Struct("<IHB")

DESCRIPTION = RunDescription(
    name="cells", num_steps=3, config={"model": {"name": "tiny"}, "seed": 7, "tags": ["a"]}, config_text=""
)
# The upper half of an image of twice the thumbnail's size.
MASK = Mask.from_array(np.repeat(np.array([[1], [0]], dtype=np.uint8), 24, axis=0).repeat(64, axis=1))
ROW = PredictionRow(
    sample_id="a/1",
    prefix="detect cat ; dog",
    text="… cat",
    reference="… dog",
    score=0.5,
    predicted=(Instance(label="cat", box=Box(top=0.1, left=0.2, bottom=0.5, right=0.6), mask=MASK),),
    truth=(Instance(label="dog", box=Box(top=0.0, left=0.0, bottom=1.0, right=0.25)),),
    thumbnail_jpeg=jpeg_bytes(np.zeros((24, 32, 3), dtype=np.uint8)),
)


def records(path: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    content = path.read_bytes()
    assert content[:4] == b":W&B"
    position, parts = 7, b""
    while position < len(content):
        if _BLOCK - position % _BLOCK < _HEADER.size:
            position += _BLOCK - position % _BLOCK
            continue
        _, length, kind = _HEADER.unpack_from(content, position)
        position += _HEADER.size + length
        parts += content[position - length : position]
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def values_of(items: Any) -> dict[str, Any]:
    """Return key-value items; a nested key keeps its dots."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def close_files() -> None:
    """End W&B's own process, which writes the file and may hold its last block."""
    import wandb

    wandb.teardown()


def only_file(folder: Path, pattern: str) -> Path:
    (path,) = (path for path in folder.glob(pattern) if not path.parent.is_symlink())
    return path


def boxes_of(folder: Path, image: Mapping[str, Any], kind: str) -> Any:
    return json.loads((folder / "files" / image[kind]["path"]).read_text(encoding="utf-8"))["box_data"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that logged three steps, predictions and an adapter."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        # W&B would keep the artifact's files in the home folder.
        patch.setenv("WANDB_DATA_DIR", str(folder / "data"))
        patch.setenv("WANDB_API_KEY", "canary" * 7)
        patch.setenv("DATABASE_PASSWORD", "canary-of-the-environment")
        patch.setattr("sys.argv", ["finetune", "train", "dataset.path=https://me:canary@host"])
        run = WandbTracker(mode=WandbMode.offline, group="seeds", tags=["t"]).start(DESCRIPTION, folder)
        for step in (1, 2, 3):
            run.log({"loss": 1 / step, "learning_rate/decoder": 1e-4}, step)
        run.log({"eval/mAP": 0.25}, 3)
        run.log_predictions([ROW], 3)
        adapter = folder / "adapter"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
        run.log_artifact(adapter, "cells-adapter")
        assert run.where().startswith(f"wandb sync {folder / 'wandb' / 'offline-run-'}")
        run.finish(0)
        close_files()
    return folder


@pytest.fixture(scope="module")
def log(finished: Path) -> list[Any]:
    return list(records(only_file(finished, "wandb/offline-run-*/*.wandb")))


@pytest.fixture(scope="module")
def history(log: list[Any]) -> list[dict[str, Any]]:
    return [values_of(record.history.item) for record in log if record.HasField("history")]


def test_the_run_is_named_grouped_and_holds_every_setting(log: list[Any], finished: Path) -> None:
    (run,) = (record.run for record in log if record.HasField("run"))
    assert (run.display_name, run.project, run.run_group, list(run.tags)) == (
        "cells",
        "paligemma-finetune",
        "seeds",
        ["t"],
    )
    config = values_of(run.config.update)
    assert {key: config[key] for key in DESCRIPTION.config} == DESCRIPTION.config
    assert json.loads((finished / "wandb.json").read_text(encoding="utf-8")) == {"id": run.run_id}


def test_history_has_the_steps_that_were_given(history: list[dict[str, Any]]) -> None:
    assert [(line["_step"], line["loss"], line["learning_rate/decoder"]) for line in history] == [
        (1, 1, 1e-4),
        (2, 0.5, 1e-4),
        (3, 1 / 3, 1e-4),
    ]
    assert history[-1]["eval/mAP"] == 0.25


def test_the_table_holds_what_was_asked_said_and_true(finished: Path, history: list[dict[str, Any]]) -> None:
    path = only_file(finished, "wandb/offline-run-*") / "files" / history[-1]["predictions/table.path"]
    table = json.loads(path.read_text(encoding="utf-8"))
    assert table["columns"] == ["id", "prefix", "text", "reference", "score", "image"]
    assert table["data"][0][:5] == ["a/1", "detect cat ; dog", "… cat", "… dog", 0.5]


def test_images_have_predicted_and_true_boxes_by_label(finished: Path, history: list[dict[str, Any]]) -> None:
    folder = only_file(finished, "wandb/offline-run-*")
    (image,) = history[-1]["predictions/images.all_boxes"]
    (predicted,) = boxes_of(folder, image, "predicted")
    (true,) = boxes_of(folder, image, "true")
    assert predicted["position"] == {"minX": 0.2, "maxX": 0.6, "minY": 0.1, "maxY": 0.5}
    assert (predicted["box_caption"], predicted["class_id"]) == ("cat", 1)
    assert (true["box_caption"], true["class_id"]) == ("dog", 2)


def test_masks_are_a_map_of_label_numbers_over_the_image(finished: Path, history: list[dict[str, Any]]) -> None:
    folder = only_file(finished, "wandb/offline-run-*")
    (image,) = history[-1]["predictions/images.all_masks"]
    assert set(image) == {"predicted"}
    with Image.open(folder / "files" / image["predicted"]["path"]) as stored:
        numbers = np.asarray(stored)
    assert numbers.shape == (24, 32)
    assert (numbers[:11] == 1).all()
    assert (numbers[13:] == 0).all()


def test_the_adapter_is_an_artifact(log: list[Any]) -> None:
    artifacts = {record.artifact.name: record.artifact for record in log if record.HasField("artifact")}
    assert artifacts["cells-adapter"].type == "model"
    assert [entry.path for entry in artifacts["cells-adapter"].manifest.contents] == ["adapter_config.json"]


def test_the_exit_code_is_kept(log: list[Any]) -> None:
    assert [record.exit.exit_code for record in log if record.HasField("exit")] == [0]


def test_no_file_holds_a_key_a_password_or_the_command_line(finished: Path) -> None:
    files = [path for path in finished.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        assert b"canary" not in path.read_bytes(), path


def test_a_resumed_run_continues_under_the_same_id(tmp_path: Path) -> None:
    (tmp_path / "wandb.json").write_text('{"id": "abcd1234"}\n', encoding="utf-8")
    run = WandbTracker(mode=WandbMode.offline).start(DESCRIPTION, tmp_path)
    run.rewind(5)
    run.log({"loss": 1.0}, 6)
    run.finish(0)
    close_files()
    (resumed,) = (r.run for r in records(only_file(tmp_path, "wandb/offline-run-*/*.wandb")) if r.HasField("run"))
    assert resumed.run_id == "abcd1234"


def test_an_online_run_without_a_key_says_what_to_do_and_does_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="run `wandb login`"):
        WandbTracker().start(DESCRIPTION, tmp_path)
