"""Masks end to end, as they are typed: COCO polygons and run lengths, a crowd, training, and predictions drawn."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from datasets_adapters.scenes import Scenes
from finetune.reporting.run_folder import RunFolder
from finetune.types import ImagePixels, Instance

from .conftest import SMALL

LABELS = ["circle", "square", "triangle"]


def _segmentation(instance: Instance, number: int) -> object:
    """Write a mask in one of the three ways: run lengths, compressed ones, or a polygon (of its box)."""
    assert instance.mask is not None
    pixels = instance.mask.to_array()
    size = list(pixels.shape)
    if number % 3 == 0:
        flat = pixels.flatten(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs: list[int] = np.diff([0, *edges, flat.size]).tolist()
        return {"size": size, "counts": [0, *runs] if flat[0] else runs}
    if number % 3 == 1:
        return {"size": size, "counts": coco_mask.encode(np.asfortranarray(pixels))["counts"].decode()}
    left, top, right, bottom = instance.box.to_xyxy_pixels((size[0], size[1]))
    return [[left, top, right, top, right, bottom, left, bottom]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered scenes as a COCO folder; the first object of every fifth image is a crowd region."""
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    for split, own in (("train", "train"), ("val", "eval")):
        (root / split).mkdir()
        source = Scenes(num_train=10, num_eval=5, min_objects=2).open(own)
        images, annotations = [], list[dict[str, Any]]()
        for index in range(len(source)):
            sample = source[index]
            (image,) = sample.images
            assert isinstance(image, ImagePixels)
            Image.fromarray(image.pixels).save(root / split / f"{index}.png")
            images.append({"id": index, "file_name": f"{index}.png", "height": 112, "width": 112})
            for number, instance in enumerate(sample.instances or ()):
                row = {"id": len(annotations) + 1, "image_id": index, "category_id": LABELS.index(instance.label)}
                shape = {"segmentation": _segmentation(instance, len(annotations))}
                annotations.append({**row, **shape, "iscrowd": int(index % 5 == 4 and number == 0)})
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS)],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def test_masks_of_a_coco_folder_are_learnt_scored_and_drawn(
    root: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    coco = ["dataset=coco", f"dataset.root={root}", "dataset.train_split=train", "dataset.eval_split=val"]
    others = [word for word in SMALL if not word.startswith("dataset.")]
    recipe = ["recipe=segmentation", "recipe.mask_codec=embedded"]
    finetune("inspect", *recipe, *coco, f"to={tmp_path}/inspected.html")
    assert "masks said in sixteen tokens and drawn again: mean IoU 0.9" in capsys.readouterr().out
    finetune("train", f"runs={tmp_path}", "name=masks", "evaluation.best_metric=mIoU", *recipe, *coco, *others)
    scores = {name for line in RunFolder(path=tmp_path / "masks").read_metrics() for name in line.values}
    assert {"eval/mIoU", "eval/mask_mAP50", "eval/mAP50", "eval/malformed"} <= scores
    finetune("predict", f"run={tmp_path}/masks", "split=val", f"to={tmp_path}/said.jsonl", f"drawings={tmp_path}/drawn")
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == 5
    lines = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert all(one["mask"]["height"] == 112 for line in lines for one in line["truth"])
