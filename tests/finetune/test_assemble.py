"""What is refused before anything heavy is loaded."""

from pathlib import Path
from typing import Any

import pytest

from finetune.assemble import check_choices
from finetune.config.schema import RunConfig
from finetune.engine.optimizer import AdamW, Muon
from finetune.export.preprocessing import FILE_NAME
from finetune.model.choices import LocalModel, TinyModel
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import DataSettings, PartFlags, Precision, Resize, TrainingSettings


def _config(**settings: Any) -> RunConfig:
    return RunConfig(**{"model": TinyModel(), "peft": Lora(), "optimizer": AdamW(), **settings})


def test_every_choice_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.image_size must be a multiple"):
        check_choices(_config(model=TinyModel(image_size=100)))
    with pytest.raises(ValueError, match=r"model\.path: there is no folder"):
        check_choices(_config(model=LocalModel(path=str(tmp_path / "nowhere"))))
    with pytest.raises(ValueError, match="contradict each other"):
        check_choices(_config(freeze=PartFlags(decoder=True)))


def test_weights_are_in_no_fewer_bits_than_products() -> None:
    with pytest.raises(ValueError, match=r"training\.precision=fp32 needs model\.dtype=fp32, got bf16; set training"):
        check_choices(_config(model=TinyModel(dtype=Precision.bf16)))
    check_choices(_config(model=TinyModel(dtype=Precision.bf16), training=TrainingSettings(precision=Precision.bf16)))


def test_muon_and_adapters_are_refused_before_a_model_is_read() -> None:
    with pytest.raises(ValueError, match="optimizer=muon trains no adapters: choose optimizer=adamw, or peft=none"):
        check_choices(_config(optimizer=Muon()))
    check_choices(_config(optimizer=Muon(), peft=FullFineTuning()))


def test_a_model_of_our_own_is_shown_the_pixels_it_knows(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "paligemma"}')
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).touch()
    (tmp_path / FILE_NAME).write_text('{"image_size": 224, "resize": "hf", "antialias": true, "background": 0}')
    model = LocalModel(path=str(tmp_path))
    check_choices(_config(model=model, data=DataSettings(resize=Resize.hf, background=0)))
    with pytest.raises(ValueError, match=r"add data\.resize=hf data\.background=0, or remove finetune_preprocessing"):
        check_choices(_config(model=model))
