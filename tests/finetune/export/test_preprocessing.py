"""What an export says about images, for this project and for plain transformers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoProcessor

from finetune.export.preprocessing import (
    FILE_NAME,
    Preprocessing,
    check_same_pixels,
    read_preprocessing,
    write_processor,
)
from finetune.model.choices import TinyModel
from finetune.settings import DataSettings, Resize

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 1, "image_size": 56}


@pytest.mark.parametrize(("resize", "resample"), [(Resize.hf, 3), (Resize.hf_fast, 3), (Resize.reference, 2)])
def test_the_plain_processor_has_the_runs_size_and_filter(tmp_path: Path, resize: Resize, resample: int) -> None:
    loaded = TinyModel(**SMALL).load()
    write_processor(loaded, tmp_path, Preprocessing.of_run(loaded.image_size, DataSettings(resize=resize)))
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert processor.image_processor.resample == resample
    assert processor.image_token_id == loaded.tokenizer.image_token_id
    image = np.full((30, 40, 3), 255, dtype=np.uint8)
    inputs = processor(images=image, text="<image>detect star", return_tensors="pt")
    expected = [loaded.tokenizer.image_token_id] * 16 + [2, *loaded.tokenizer.encode("detect star"), 5]
    assert inputs["input_ids"].tolist() == [expected]
    assert inputs["pixel_values"].shape == (1, 3, 56, 56)
    assert (inputs["pixel_values"] == 1).all()


def test_our_own_description_is_read_back(tmp_path: Path) -> None:
    loaded = TinyModel(**SMALL).load()
    written = Preprocessing.of_run(56, DataSettings(resize=Resize.reference, antialias=False, background=7))
    write_processor(loaded, tmp_path, written)
    assert read_preprocessing(tmp_path) == written


def test_a_folder_of_somebody_else_has_no_description(tmp_path: Path) -> None:
    assert read_preprocessing(tmp_path) is None


def test_other_pixels_than_the_exported_model_knows_are_refused_setting_by_setting(tmp_path: Path) -> None:
    trained = DataSettings(resize=Resize.reference, antialias=False)
    write_processor(TinyModel(**SMALL).load(), tmp_path, Preprocessing.of_run(56, trained))
    check_same_pixels(tmp_path, trained)
    check_same_pixels(tmp_path, replace(trained, max_text_tokens=64))
    with pytest.raises(ValueError, match=r"was trained with data\.background=255, this command has data\.background=0"):
        check_same_pixels(tmp_path, replace(trained, background=0))
    with pytest.raises(ValueError, match=r"add data\.resize=reference data\.antialias=false, or remove") as refusal:
        check_same_pixels(tmp_path, DataSettings(resize=Resize.hf))
    assert "this command has data.resize=hf, data.antialias=true;" in str(refusal.value)


def test_any_pixels_may_be_shown_to_a_model_of_somebody_else(tmp_path: Path) -> None:
    check_same_pixels(tmp_path, DataSettings(resize=Resize.hf))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"resize": "hf"}', '{"resize": "nearest", "image_size": 1}'])
def test_a_damaged_description_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"finetune_preprocessing\.json is damaged"):
        read_preprocessing(tmp_path)
