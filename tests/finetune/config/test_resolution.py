"""Settings that follow the checkpoint's resolution."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from finetune.config.resolution import register_resolvers
from finetune.model.npz_dimensions import Dimensions
from finetune.model.npz_file import ArrayToWrite, write_npz
from finetune.model.npz_layout import array_rules
from finetune.settings import Precision

register_resolvers()


def rate(model: dict[str, Any], table: str = "{224:1e-5,448:3e-6,896:null}") -> Any:
    config = OmegaConf.create({"model": model, "rate": f"${{at_resolution:{table}}}"})
    return config.rate


def write_original(path: Path, side: int) -> Path:
    """Write a checkpoint in the original's layout, of one layer each and of zeros, for images of this side."""
    dimensions = Dimensions(
        patch_size=14,
        num_image_tokens=(side // 14) ** 2,
        vision_width=4,
        vision_depth=1,
        vision_mlp=4,
        vision_heads=2,
        vocabulary_size=8,
        decoder_width=4,
        decoder_depth=1,
        decoder_mlp=4,
        decoder_heads=2,
        decoder_key_heads=1,
        head_dim=2,
        generation=1,
        is_attention_fused=False,
    )
    write_npz(
        path,
        [
            ArrayToWrite(name=rule.array, shape=rule.shape, dtype=Precision.fp32, blocks=[np.zeros(rule.shape, "<f4")])
            for rule in array_rules(dimensions)
        ],
    )
    return path


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"repository": "google/paligemma-3b", "variant": "pt-224"}, 1e-5),
        ({"repository": "google/paligemma2-3b", "variant": "mix-448"}, 3e-6),
        ({"repository": "google/paligemma2-3b", "variant": "ft-docci-448"}, 3e-6),
        ({"repository": "mine/paligemma-3b-pt-896", "variant": None}, None),
        # What the images are resized to is what counts.
        ({"repository": "google/paligemma-3b", "variant": "pt-224", "image_size": 448}, 3e-6),
        # The tiny model has a size of its own.
        ({"image_size": None}, 1e-5),
        ({"image_size": 112}, 1e-5),
    ],
)
def test_the_value_is_that_of_the_models_images(model: dict[str, Any], expected: float | None) -> None:
    assert rate(model) == expected


def test_a_folder_says_its_size_in_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "paligemma", "vision_config": {"image_size": 448}}))
    assert rate({"path": str(tmp_path)}) == 3e-6


@pytest.mark.parametrize(("side", "expected"), [(224, 1e-5), (448, 3e-6), (896, None), (112, 1e-5)])
def test_a_checkpoint_of_the_original_says_its_size_in_its_position_embedding(
    side: int, expected: float | None, tmp_path: Path
) -> None:
    path = write_original(tmp_path / "weights.npz", side)
    assert rate({"path": str(path)}) == expected
    assert rate({"path": str(path), "image_size": 448}) == 3e-6


@pytest.mark.parametrize("name", ["nowhere", "nowhere.npz", "empty", "cut.npz"])
def test_a_checkpoint_that_cannot_be_read_is_left_to_the_model_to_refuse(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.npz").write_bytes(b"PK")
    assert rate({"path": str(tmp_path / name)}) == 1e-5


@pytest.mark.parametrize("name", ["me/mine", "me/mine-3", "me/paligemma-448-tuned"])
def test_a_repository_that_does_not_tell_its_size_is_refused_where_that_matters(name: str) -> None:
    model = {"repository": name, "variant": None, "image_size": None}
    with pytest.raises(InterpolationResolutionError, match=rf"model.repository={name} .* give model.image_size"):
        rate(model)
    assert rate(model, "{224:0.5,448:0.5}") == 0.5
    assert rate(model | {"image_size": 448}) == 3e-6
    # What is no variant at all is the model's own to refuse.
    assert rate(model | {"variant": "pt-22"}) == 1e-5


def test_a_published_size_without_a_value_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(InterpolationResolutionError, match=r"no value for 896 pixels here, only for 224 and 448"):
        rate({"variant": "pt-896"}, "{224:1,448:2}")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"repository": "google/paligemma-3b", "variant": "pt-224"}, "original"),
        ({"path": "weights/pt_224.npz"}, "original"),
        ({"repository": "mine/paligemma-3b-pt-896"}, None),
        ({"path": "runs/first/export"}, None),
        ({"image_size": None}, None),
    ],
)
def test_what_holds_for_published_weights_alone_is_null_for_others(model: dict[str, Any], expected: str | None) -> None:
    assert OmegaConf.create({"model": model, "codec": "${if_published:original}"}).codec == expected
