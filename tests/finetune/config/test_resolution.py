"""Settings that follow the checkpoint's resolution."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from finetune.config.resolution import register_resolvers

register_resolvers()


def rate(model: dict[str, Any], table: str = "{224:1e-5,448:3e-6,896:null}") -> Any:
    config = OmegaConf.create({"model": model, "rate": f"${{at_resolution:{table}}}"})
    return config.rate


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
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {"image_size": 448}}))
    assert rate({"path": str(tmp_path)}) == 3e-6
    assert rate({"path": str(tmp_path / "nowhere")}) == 1e-5


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
