"""The original's best values of every transfer, written down once more, by hand, and held to what the experiments say.

Source:
    big_vision configs/proj/paligemma/transfers (0127fb6), executed with their `sweep_best` settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
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
# Of this project's own.
OWN = {"bccd_detection_full", "bccd_detection_lora", "demo", "pretrain_tiny", "scenes_mixture", "custom_jsonl"}
# Nothing is trained: other transfers are looked at on them.
EVALUATED = {"countbenchqa", "marvl", "nocaps", "pope", "xgqa", "xm3600"}
# PaliGemma 2's, whose settings its paper gives in part.
FURTHER = {"docci", "grandstaff", "icdar15", "mimic_cxr", "molecules", "pubtabnet", "total_text", "vsr"}


@dataclass(frozen=True, kw_only=True)
class Values:
    """What one resolution of a transfer has.

    Args:
        wd: As the original means it: not multiplied by the learning rate.
        epochs: None: `steps` are given.
    """

    rate: float
    wd: float = 0
    epochs: float | None = None
    batch: int = 256
    smoothing: float = 0.0
    dropout: float = 0.0
    is_vit_frozen: bool = False


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One row of the original's table.

    Args:
        at: Values by resolution.
        text: Tokens of prefix, newline, suffix and EOS, and of a decoded answer.
        antialias: In training and in evaluation.
        train, eval: The splits, as the data set is told.
        num_images: Images or frames of an example; None: one, of every row.
    """

    at: dict[int, Values]
    text: int
    antialias: tuple[bool, bool]
    train: str
    eval: str
    beams: int = 1
    num_images: int | None = None
    frame_stride: int | None = None
    recipe: dict[str, object] = field(default_factory=dict)


def same(values: Values, *sides: int) -> dict[int, Values]:
    return dict.fromkeys(sides, values)


T, F = True, False
NO_ANTIALIAS, ALL_ANTIALIAS, TRAIN_ONLY = (F, F), (T, T), (T, F)
CAPTION = {"prefix": "caption {language}", "language": "en"}
ANSWER = {"prefix": "answer {language} {question}", "language": "en"}
RAW = {"prefix": "{question}"}
ONE_OF_SEVERAL = {"answer": "cycle"}
INFO = {"rate": 1e-5, "wd": 1e-6, "epochs": 3}

TRANSFERS = {
    "cococap": Transfer(
        at=same(Values(rate=1e-5, wd=1e-6, epochs=5), 224, 448), text=32, beams=2, antialias=NO_ANTIALIAS,
        train="train+restval", eval="val", recipe=CAPTION | {"caption": "cycle", "lower_case": False},
    ),
    "textcaps": Transfer(
        at=same(Values(rate=1e-5, wd=1e-6, epochs=5), 224, 448), text=32, beams=3, antialias=NO_ANTIALIAS,
        train="train", eval="val", recipe=CAPTION | {"caption": "cycle", "lower_case": True},
    ),
    "scicap": Transfer(
        at=same(Values(rate=3e-5, epochs=80, smoothing=0.1, dropout=0.1), 224, 448), text=96, antialias=NO_ANTIALIAS,
        train="train+val", eval="test", recipe=CAPTION,
    ),
    "screen2words": Transfer(
        at=same(Values(rate=1e-5, epochs=10, smoothing=0.2, dropout=0.3), 224, 448), text=24, antialias=NO_ANTIALIAS,
        train="train+dev", eval="test", recipe=CAPTION | {"caption": "cycle"},
    ),
    "widgetcap": Transfer(
        at=same(Values(rate=3e-6, wd=3e-7, epochs=4, batch=64, smoothing=0.1, dropout=0.1), 224, 448), text=32,
        antialias=ALL_ANTIALIAS, train="train+dev", eval="test", recipe=CAPTION | {"caption": "cycle"},
    ),
    "vqav2": Transfer(
        at={224: Values(rate=1e-5, wd=1e-6, epochs=10), 448: Values(rate=1e-5, epochs=10)}, text=32,
        antialias=ALL_ANTIALIAS, train="train+val[:-10240]", eval="val[-10240:]",
        recipe=ANSWER | ONE_OF_SEVERAL | {"scores": ["vqa_accuracy"]},
    ),
    "okvqa": Transfer(
        at=same(Values(rate=5e-6, epochs=10, batch=128), 224, 448), text=32, antialias=ALL_ANTIALIAS, train="train",
        eval="val", recipe=ANSWER | ONE_OF_SEVERAL | {"scores": ["agreement"]},
    ),
    "aokvqa_da": Transfer(
        at=same(Values(rate=5e-6, epochs=10, batch=128), 224, 448), text=32, antialias=ALL_ANTIALIAS,
        train="train+val", eval="val", recipe=ANSWER | ONE_OF_SEVERAL | {"scores": ["agreement"]},
    ),
    "aokvqa_mc": Transfer(
        at=same(Values(rate=5e-6, epochs=15, batch=128), 224, 448), text=128, antialias=ALL_ANTIALIAS,
        train="train+val", eval="val", recipe={"prefix": "answer {language}  {question} choose from: {choices}"},
    ),
    "ai2d": Transfer(
        at=same(Values(rate=1e-5, wd=1e-6, epochs=10), 224, 448), text=128, antialias=TRAIN_ONLY, train="train",
        eval="test", recipe={"prefix": "answer {language}  {question} choose from: {choices}"},
    ),
    "gqa": Transfer(
        at={224: Values(rate=1e-5, epochs=1), 448: Values(rate=1e-5, epochs=1, is_vit_frozen=True)}, text=32,
        antialias=NO_ANTIALIAS, train="train_balanced+val_balanced", eval="testdev_balanced",
        recipe=ANSWER | {"scores": ["exact_match"]},
    ),
    "nlvr2": Transfer(
        at={224: Values(rate=1e-5, wd=1e-6, epochs=3), 448: Values(rate=3e-6, wd=3e-7, epochs=10)}, text=64,
        antialias=NO_ANTIALIAS, train="train+dev", eval="test", num_images=2,
        recipe=ANSWER | {"scores": ["exact_match"]},
    ),
    "science_qa": Transfer(
        at=same(Values(rate=1e-5, epochs=20, batch=128, is_vit_frozen=True), 224, 448), text=512,
        antialias=NO_ANTIALIAS, train="train+val", eval="test",
    ),
    "chartqa": Transfer(
        at=same(Values(rate=1e-5, wd=1e-6, epochs=30, smoothing=0.2, dropout=0.1), 224, 448), text=48,
        antialias=ALL_ANTIALIAS, train="train+val", eval="test",
        recipe=RAW | {"scores": ["relaxed_accuracy"], "ignore_case": True, "categories": ["human", "augmented"]},
    ),
    "docvqa": Transfer(
        at=same(Values(rate=1e-5, wd=1e-6, epochs=10), 224, 448, 896), text=32, antialias=ALL_ANTIALIAS,
        train="train+val", eval="val", recipe=RAW | {"answer": "random", "scores": ["ANLS"], "ignore_case": True},
    ),
    "infovqa": Transfer(
        at={
            224: Values(**INFO, smoothing=0.4), 448: Values(**INFO, batch=128, smoothing=0.4),
            896: Values(rate=3e-6, wd=3e-7, epochs=3, batch=32, smoothing=0.4),
        },
        text=48, antialias=ALL_ANTIALIAS, train="train+val", eval="val",
        recipe=ANSWER | {"scores": ["ANLS"], "lower_case": True},
    ),
    "stvqa": Transfer(
        at={
            224: Values(**INFO, smoothing=0.1), 448: Values(**INFO, batch=128, smoothing=0.1),
            896: Values(rate=3e-6, wd=3e-7, epochs=3, batch=32, smoothing=0.1),
        },
        text=48, antialias=ALL_ANTIALIAS, train="train+val", eval="val",
        recipe=ANSWER | {"scores": ["ANLS"], "lower_case": True},
    ),
    "textvqa": Transfer(
        at={
            224: Values(rate=3e-6, epochs=5), 448: Values(rate=3e-6, wd=3e-7, epochs=10),
            896: Values(rate=3e-6, epochs=10),
        },
        text=32, antialias=ALL_ANTIALIAS, train="train+val", eval="val",
        recipe=ANSWER | ONE_OF_SEVERAL | {"scores": ["vqa_accuracy"]},
    ),
    "ocrvqa": Transfer(
        at=same(Values(rate=3e-6, epochs=3, batch=128), 224, 448) | {896: Values(rate=1e-5, epochs=3, batch=128)},
        text=32, antialias=ALL_ANTIALIAS, train="train+val", eval="test",
        recipe=ANSWER | {"scores": ["exact_match"], "ignore_case": True},
    ),
    "vizwizvqa": Transfer(
        at=same(Values(rate=1e-5, epochs=10), 224, 448), text=48, antialias=TRAIN_ONLY, train="train+val", eval="val",
        recipe=ANSWER | ONE_OF_SEVERAL | {"scores": ["agreement"]},
    ),
    "tallyqa": Transfer(
        at={
            224: Values(rate=1e-5, epochs=2), 448: Values(rate=1e-5, wd=1e-6, epochs=2),
            896: Values(rate=7e-6, wd=7e-7, epochs=2),
        },
        text=32, antialias=ALL_ANTIALIAS, train="train", eval="test",
        recipe=ANSWER | {"scores": ["counting_accuracy"], "categories": ["simple", "complex"]},
    ),
    "rsvqa_lr": Transfer(
        at=same(Values(rate=3e-6, epochs=3, smoothing=0.2), 224, 448), text=32, antialias=TRAIN_ONLY,
        train="train+val", eval="test", recipe=ANSWER | {"scores": ["exact_match"], "lower_case": True},
    ),
    "rsvqa_hr": Transfer(
        at=same(Values(rate=1e-5, epochs=1), 224, 448), text=32, antialias=TRAIN_ONLY, train="train+val", eval="test",
        recipe=ANSWER | {"scores": ["exact_match"], "lower_case": True},
    ),
    "refcoco_seg": Transfer(
        at={
            224: Values(rate=3e-5, epochs=100, smoothing=0.3, dropout=0.1),
            448: Values(rate=1e-5, epochs=100, smoothing=0.3),
            896: Values(rate=1e-5, epochs=100, batch=64, smoothing=0.3),
        },
        text=48, antialias=NO_ANTIALIAS, train="train",
        eval="refcoco_val+refcocop_val+refcocog_val",
        recipe={"prefix": "{expression}", "mask_codec": "original"},
    ),
    "msrvtt_cap": Transfer(
        at={224: Values(rate=1e-5, epochs=20, batch=128, is_vit_frozen=True)}, text=32, antialias=NO_ANTIALIAS,
        train="train+val", eval="test", num_images=16, frame_stride=9, recipe=CAPTION | {"caption": "random"},
    ),
    "msrvtt_qa": Transfer(
        at={224: Values(rate=1e-5, epochs=1, batch=128, is_vit_frozen=True)}, text=64, antialias=NO_ANTIALIAS,
        train="train+val", eval="test", num_images=16, frame_stride=9, recipe=ANSWER | {"scores": ["exact_match"]},
    ),
    "msvd_qa": Transfer(
        at={224: Values(rate=3e-6, wd=3e-7, epochs=1, batch=128)}, text=64, antialias=NO_ANTIALIAS,
        train="train+val", eval="test", num_images=8, frame_stride=26, recipe=ANSWER | {"scores": ["exact_match"]},
    ),
    "activitynet_cap": Transfer(
        at={224: Values(rate=1e-5, wd=1e-6, epochs=1, batch=128, is_vit_frozen=True)}, text=64,
        antialias=NO_ANTIALIAS, train="train+val_1", eval="val_2", num_images=16, frame_stride=30, recipe=CAPTION,
    ),
    "activitynet_qa": Transfer(
        at={224: Values(rate=1e-5, wd=1e-6, epochs=1, batch=128)}, text=64, antialias=NO_ANTIALIAS,
        train="train+val", eval="test", num_images=16, frame_stride=70, recipe=ANSWER | {"scores": ["exact_match"]},
    ),
    "vatex_cap": Transfer(
        at={224: Values(rate=3e-6, wd=3e-7, epochs=10, batch=128)}, text=64, antialias=NO_ANTIALIAS,
        train="train+val", eval="test", num_images=16, frame_stride=7, recipe=CAPTION | {"caption": "random"},
    ),
    # Its length is given in examples, not in epochs.
    "coco35l": Transfer(
        at=same(Values(rate=1e-5, wd=1e-6), 224, 448), text=32, antialias=NO_ANTIALIAS, train="train", eval="dev",
        recipe={"prefix": "caption {language}"},
    ),
}  # fmt: skip
CELLS = [(name, side) for name, transfer in TRANSFERS.items() for side in transfer.at]


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        yield


def configured(name: str, side: int = 224) -> RunConfig:
    return parse(compose("train", [f"experiment={name}", f"model.variant=pt-{side}", "dataset.root=given"]))


@pytest.mark.parametrize(("name", "side"), CELLS)
def test_a_transfer_has_the_originals_values_at_each_resolution(name: str, side: int) -> None:
    transfer, config = TRANSFERS[name], configured(name, side)
    wanted, training, optimizer = transfer.at[side], config.training, config.optimizer
    assert config.model == HubModel(repository="google/paligemma-3b", variant=f"pt-{side}")
    assert isinstance(optimizer, AdamW)
    assert optimizer.learning_rate == wanted.rate
    assert optimizer.weight_decay * optimizer.learning_rate == pytest.approx(wanted.wd)
    assert training.global_batch_size == wanted.batch
    assert (training.label_smoothing, training.residual_dropout) == (wanted.smoothing, wanted.dropout)
    if wanted.epochs is None:
        # 5 x 566,435 examples of one language's number.
        assert (training.epochs, training.max_steps) == (None, 2_832_175 // 256)
    else:
        assert (training.epochs, training.max_steps) == (wanted.epochs, None)
    # What the original freezes with the image encoder is the connector.
    assert config.freeze == PartFlags(image_encoder=wanted.is_vit_frozen, connector=wanted.is_vit_frozen)


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_reads_and_asks_as_the_original_does(name: str) -> None:
    transfer, config = TRANSFERS[name], configured(name)
    data, evaluation = config.data, config.evaluation
    assert (data.max_text_tokens, evaluation.max_new_tokens) == (transfer.text, transfer.text)
    assert (data.antialias, data.antialias_of_asked) == transfer.antialias
    assert evaluation.num_beams == transfer.beams
    assert (config.dataset.train_split, config.dataset.eval_split) == (transfer.train, transfer.eval)
    assert data.num_images == transfer.num_images
    if transfer.frame_stride is not None:
        # The original leaves a frame's pixels as fractions.
        assert (config.dataset.frame_stride, data.resize) == (transfer.frame_stride, Resize.reference_rounded)
    else:
        assert data.resize is Resize.reference
    for setting, value in transfer.recipe.items():
        chosen = getattr(config.recipe, setting)
        assert getattr(chosen, "value", chosen) == value, setting


@pytest.mark.parametrize("name", TRANSFERS)
def test_what_all_transfers_share_is_the_originals(name: str) -> None:
    config = configured(name)
    optimizer = config.optimizer
    assert config.peft == FullFineTuning()
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.9, 0.999, 1e-8)
    # Kernels of the image encoder and of the connector, never the decoder's.
    assert optimizer.decay_parts == ["image_encoder", "connector"]
    assert config.learning_rates == PartMultipliers()
    assert config.schedule == Cosine(warmup_steps=None, warmup_ratio=0.05, final_fraction=0.0)
    assert (config.training.clip_norm, config.training.log_every_steps) == (1.0, 50)
    assert config.training.normalization is Normalization.example
    assert config.data.on_overlong is OnOverlong.truncate
    assert config.checkpoint.every_steps == 1000


@pytest.mark.parametrize("name", [name for name, transfer in TRANSFERS.items() if 896 not in transfer.at])
def test_a_resolution_that_the_paper_did_not_try_is_refused_until_a_rate_of_ones_own_is_given(name: str) -> None:
    sides = " and ".join(str(side) for side in TRANSFERS[name].at)
    with pytest.raises(ValueError, match=f"no value for 896 pixels here, only for {sides}"):
        configured(name, 896)


def test_forkme_is_the_original_starting_point_for_data_of_ones_own() -> None:
    config = parse(compose("train", ["experiment=custom_jsonl", "dataset.root=given"]))
    assert config.model == HubModel(repository="google/paligemma2-3b", variant="pt-224")
    assert config.optimizer.learning_rate == 1e-5
    assert config.optimizer.weight_decay * 1e-5 == pytest.approx(3e-7)
    assert (config.training.epochs, config.training.global_batch_size) == (15, 32)
    assert (config.data.max_text_tokens, config.checkpoint.every_steps, config.training.log_every_steps) == (
        128,
        200,
        1,
    )
    assert config.data.antialias is config.data.antialias_of_asked is True


def test_pope_is_evaluated_alone_with_the_bare_question() -> None:
    config = parse(compose("train", ["experiment=pope", "dataset.root=given"]))
    assert config.training.max_steps == 0
    assert config.recipe.prefix == "{question}"
    assert config.data.max_text_tokens == 48
    assert (config.data.antialias, config.data.antialias_of_asked) == (False, False)


@pytest.mark.parametrize("name", sorted(EVALUATED))
def test_what_is_only_evaluated_on_trains_nothing(name: str) -> None:
    assert configured(name).training.max_steps == 0


@pytest.mark.parametrize("name", sorted(FURTHER))
def test_a_task_of_the_second_paper_says_what_is_uncertain(name: str) -> None:
    first = (EXPERIMENTS / f"{name}.yaml").read_text().partition("defaults:")[0]
    assert "PaliGemma 2" in first
    assert any(word in first for word in ("Uncertain", "not published", "does not give"))
    assert configured(name).model.repository == "google/paligemma2-3b"


def test_every_experiment_stands_in_one_of_these_lists() -> None:
    lists = [set(TRANSFERS), OWN, EVALUATED, FURTHER]
    assert {path.stem for path in EXPERIMENTS.glob("*.yaml")} == set().union(*lists)
    assert sum(len(names) for names in lists) == len(set().union(*lists))
