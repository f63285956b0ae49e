"""The original's best values of the transfers that are shipped, written down once more, by hand.

Source:
    big_vision configs/proj/paligemma/transfers (0127fb6), executed with their `sweep_best` settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from finetune.config.parse import parse
from finetune.config.register import register
from finetune.config.schema import RunConfig
from finetune.engine.optimizer import AdamW
from finetune.engine.schedule import Cosine
from finetune.model.choices import HubModel
from finetune.peft.full import FullFineTuning
from finetune.settings import Normalization, OnOverlong, PartFlags, PartMultipliers, Resize

EXPERIMENTS = Path(__file__).parent.parent / "conf" / "experiment"


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One row of the original's table.

    Args:
        wd: As the original means it: not multiplied by the learning rate.
        text_length: Tokens of prefix, newline, suffix and EOS, and of a decoded answer.
        num_images: Images or frames of an example; None: one, of every row.
    """

    resolution: int
    rate: float
    wd: float
    epochs: int
    batch: int
    text_length: int
    smoothing: float = 0.0
    dropout: float = 0.0
    is_vit_frozen: bool = False
    num_images: int | None = None


TRANSFERS = {
    "gqa_448": Transfer(resolution=448, rate=1e-5, wd=0, epochs=1, batch=256, text_length=32, is_vit_frozen=True),
    "msrvtt_cap": Transfer(
        resolution=224, rate=1e-5, wd=0, epochs=20, batch=128, text_length=32, is_vit_frozen=True, num_images=16
    ),
    "nlvr2_224": Transfer(resolution=224, rate=1e-5, wd=1e-6, epochs=3, batch=256, text_length=64, num_images=2),
    "refcoco_seg_224": Transfer(
        resolution=224, rate=3e-5, wd=0, epochs=100, batch=256, text_length=48, smoothing=0.3, dropout=0.1
    ),
    "scicap_224": Transfer(
        resolution=224, rate=3e-5, wd=0, epochs=80, batch=256, text_length=96, smoothing=0.1, dropout=0.1
    ),
}


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        yield


def configured(name: str) -> RunConfig:
    return parse(compose("train", [f"experiment=transfer_{name}", "dataset.root=given"]))


def test_every_transfer_is_in_the_table() -> None:
    assert {path.stem.removeprefix("transfer_") for path in EXPERIMENTS.glob("transfer_*.yaml")} == TRANSFERS.keys()


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_has_the_originals_values(name: str) -> None:
    wanted, config = TRANSFERS[name], configured(name)
    training, optimizer = config.training, config.optimizer
    assert config.model == HubModel(repository="google/paligemma-3b", variant=f"pt-{wanted.resolution}")
    assert isinstance(optimizer, AdamW)
    assert optimizer.learning_rate == wanted.rate
    assert optimizer.weight_decay * optimizer.learning_rate == pytest.approx(wanted.wd)
    assert (training.epochs, training.max_steps, training.global_batch_size) == (wanted.epochs, None, wanted.batch)
    assert (training.label_smoothing, training.residual_dropout) == (wanted.smoothing, wanted.dropout)
    # What the original freezes with the image encoder is the connector.
    assert config.freeze == PartFlags(image_encoder=wanted.is_vit_frozen, connector=wanted.is_vit_frozen)
    assert (config.data.max_text_tokens, config.evaluation.max_new_tokens) == (wanted.text_length, wanted.text_length)
    assert config.data.num_images == wanted.num_images


@pytest.mark.parametrize("name", TRANSFERS)
def test_what_all_transfers_share_is_the_originals(name: str) -> None:
    config = configured(name)
    optimizer, data = config.optimizer, config.data
    assert config.peft == FullFineTuning()
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.9, 0.999, 1e-8)
    # Kernels of the image encoder and of the connector, never the decoder's.
    assert optimizer.decay_parts == ["image_encoder", "connector"]
    assert config.learning_rates == PartMultipliers()
    assert config.schedule == Cosine(warmup_steps=None, warmup_ratio=0.05, final_fraction=0.0)
    assert config.training.clip_norm == 1.0
    assert config.training.normalization is Normalization.example
    assert (data.resize, data.antialias, data.on_overlong) == (Resize.reference, False, OnOverlong.truncate)


def test_frames_of_a_video_are_every_ninth() -> None:
    assert configured("msrvtt_cap").dataset.frame_stride == 9


def test_masks_are_said_in_the_originals_codes() -> None:
    assert configured("refcoco_seg_224").recipe.mask_codec == "original"
