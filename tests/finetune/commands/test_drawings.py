"""Predictions as pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from datasets_adapters.scenes import Scenes
from finetune.commands.drawings import PAGE, Drawn, write_drawings
from finetune.reporting.rows import PredictionRow
from finetune.types import ImagePixels


def test_masks_are_painted_into_the_image_and_drawn_on_the_page(tmp_path: Path) -> None:
    source = Scenes(num_eval=2).open("eval")
    sample = source[1]
    row = PredictionRow(
        sample_id=sample.sample_id,
        prefix="segment circle",
        text="...",
        reference="",
        score=None,
        predicted=sample.instances or (),
        truth=sample.instances,
    )
    page = write_drawings(tmp_path / "drawn", [Drawn(row=row, source=source, index=1)])
    assert page == tmp_path / "drawn" / PAGE
    with Image.open(tmp_path / "drawn" / "eval-000001.jpg") as picture:
        painted = np.asarray(picture).astype(int)
    assert painted.shape == (112, 112, 3)
    mask = (sample.instances or ())[0].mask
    assert mask is not None
    (image,) = sample.images
    assert isinstance(image, ImagePixels)
    changed = np.abs(painted - image.pixels).max(axis=-1) > 20
    assert changed[mask.to_array() == 1].mean() > 0.9
    assert '<path class="predicted"' in page.read_text()
