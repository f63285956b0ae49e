"""The masks that the embedded codec was trained on, and the two scripts around it."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.tokens.segmentation import choose_codec, soft_crop

Load = Callable[[str], ModuleType]


@pytest.fixture
def scripts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a script by its name, as its neighbours do."""
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    yield importlib.import_module
    for name in ("mask_pool", "score_mask_codec", "train_mask_codec"):
        sys.modules.pop(name, None)


def test_masks_come_from_the_seed_alone_and_fill_their_boxes(scripts: Load) -> None:
    pool = scripts("mask_pool")
    for masks in (lambda: pool.scene_masks(3, held_out=True), lambda: pool.polygon_masks(3)):
        first, again = (list(islice(masks(), 20)) for _ in range(2))
        assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
        assert sum(bool(one[0].any() and one[:, -1].any()) for one in first) >= 14


def test_the_pool_resizes_as_encoding_does(scripts: Load) -> None:
    whole = Box(top=0, left=0, bottom=1, right=1)
    pool = scripts("mask_pool")
    for crop in islice(pool.polygon_masks(5), 5):
        soft = soft_crop(Mask.from_array(crop), whole)
        assert np.abs(pool.soft_mask(crop) / 255 - soft).max() <= 0.51 / 255


def test_a_short_training_leaves_a_codec_that_can_be_chosen(
    scripts: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, scoring = scripts("train_mask_codec"), scripts("score_mask_codec")
    monkeypatch.setattr(training, "_PLAIN_STEPS", 2)
    monkeypatch.setattr(scoring, "_NUM_CROPS", 4)
    monkeypatch.setattr(scoring, "_NUM_SCENES", 1)
    monkeypatch.setattr(sys, "argv", ["train", "--output", str(tmp_path), "--steps", "4", "--pool", "140"])
    training.main()
    choice = choose_codec(str(tmp_path / "codec.safetensors"))
    description = json.loads((tmp_path / "codec.json").read_text(encoding="utf-8"))
    assert description["sha256"] == choice.sha256
    assert 0 <= description["scores"]["scenes/crop_iou"] <= 1


def test_the_embedded_codec_scores_what_its_card_says(scripts: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring = scripts("score_mask_codec")
    monkeypatch.setattr(scoring, "_NUM_CROPS", 150)
    monkeypatch.setattr(scoring, "_NUM_SCENES", 5)
    choice = choose_codec("embedded")
    said = json.loads((choice.path.parent / "codec.json").read_text(encoding="utf-8"))["scores"]
    found = scoring.scores(choice)
    for name in ("scenes/crop_iou", "polygons/crop_iou"):
        assert found[name] == pytest.approx(said[name], abs=0.02)
    assert found["scenes/crop_iou"] > 0.92
