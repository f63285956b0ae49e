"""Event files, read back."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.reporting.description import RunDescription
from finetune.reporting.drawing import jpeg_bytes
from finetune.reporting.rows import PredictionRow
from finetune.reporting.trackers import TensorBoardTracker
from finetune.types import Instance

DESCRIPTION = RunDescription(name="r", num_steps=4, config={"model": {"name": "tiny"}}, config_text="")
MASK = Mask.from_array(np.ones((12, 16), dtype=np.uint8))
ROW = PredictionRow(
    sample_id="a",
    prefix="detect cat",
    text="… cat",
    reference="",
    score=None,
    predicted=(Instance(label="cat", box=Box(top=0.1, left=0.1, bottom=0.5, right=0.5), mask=MASK),),
    thumbnail_jpeg=jpeg_bytes(np.zeros((24, 32, 3), dtype=np.uint8)),
)


def test_event_files_hold_settings_values_and_images_and_forget_what_was_rewound(tmp_path: Path) -> None:
    run = TensorBoardTracker().start(DESCRIPTION, tmp_path)
    for step in (1, 2, 3):
        run.log({"loss": float(step)}, step)
    run.rewind(2)
    run.log({"loss": 30.0, "learning_rate/decoder": 1e-4}, 3)
    run.log_predictions([ROW], 3)
    run.log_artifact(tmp_path, "adapter")
    run.finish(0)
    assert run.where() == f"tensorboard --logdir {tmp_path / 'tensorboard'}"
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert [event.step for event in events.Images("predictions/0")] == [3]
    (image,) = events.Images("predictions/0")
    with Image.open(io.BytesIO(image.encoded_image_string)) as painted:
        assert np.asarray(painted)[20, 28].any(), "the mask colours the black image"
    (config,) = events.Tensors("config/text_summary")
    assert b'"name": "tiny"' in config.tensor_proto.string_val[0]
