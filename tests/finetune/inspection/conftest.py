"""Samples as the tiny model would see them, and one split inspected once for all tests of its page."""

import pytest

from datasets_adapters.scenes import Scenes
from finetune.data.encode import SampleEncoder
from finetune.inspection.statistics import Inspection, inspect_split
from finetune.model.choices import TinyModel
from finetune.reporting.progress import NoProgress
from finetune.settings import DataSettings
from recipes.detection import Detection


@pytest.fixture(scope="session")
def encoder() -> SampleEncoder:
    """The tiny model's own tokenizer and image size, under the default settings."""
    inputs = TinyModel().read_inputs()
    return SampleEncoder(
        tokenizer=inputs.tokenizer,
        image_size=inputs.image_size,
        num_image_tokens=inputs.num_image_tokens,
        data=DataSettings(),
    )


@pytest.fixture(scope="session")
def inspection(encoder: SampleEncoder) -> Inspection:
    """Twelve scenes, five of them shown."""
    source = Scenes(num_train=12).open("train")
    return inspect_split(source, Detection(), encoder, num_shown=5, progress=NoProgress())
