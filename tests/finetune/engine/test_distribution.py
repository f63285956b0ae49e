"""What cannot be had together is refused with one line, before anything is loaded."""

import pytest

from finetune.engine import launch
from finetune.engine.adamw_bf16 import AdamWBf16
from finetune.engine.distribution import Distribution, Mode
from finetune.engine.optimizer import Adafactor, AdamW, AdamW8bit, Muon, Sgd
from finetune.settings import Precision

DIVIDED = [Mode.fsdp2, Mode.zero2, Mode.zero3]


def check(mode: Mode, **changed: object) -> None:
    given = {
        "optimizer": AdamW(),
        "trainable_dtype": Precision.fp32,
        "precision": Precision.fp32,
        "is_quantized": False,
        "compiles_layers": False,
    }
    Distribution(mode=mode).check(**(given | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", Mode)
def test_adamw_works_with_every_division(mode: Mode) -> None:
    check(mode)
    check(mode, precision=Precision.bf16)


def test_sgd_works_without_deepspeed() -> None:
    for mode in (Mode.single, Mode.ddp, Mode.fsdp2):
        check(mode, optimizer=Sgd())
    for mode in (Mode.zero2, Mode.zero3):
        with pytest.raises(ValueError, match=r"optimizer=sgd and distributed=zero. are not combined here"):
            check(mode, optimizer=Sgd())


@pytest.mark.parametrize("optimizer", [Muon(), Adafactor(), AdamW8bit(), AdamWBf16()])
def test_an_optimizer_that_needs_whole_tensors_works_where_they_are_whole(optimizer: object) -> None:
    check(Mode.ddp, optimizer=optimizer)
    check(Mode.single, optimizer=optimizer)
    for mode in DIVIDED:
        with pytest.raises(ValueError, match=f"needs whole tensors and distributed={mode.name} divides them: choose"):
            check(mode, optimizer=optimizer)


def test_formats_that_cannot_be_divided_are_refused() -> None:
    for mode in DIVIDED:
        with pytest.raises(ValueError, match="fp16"):
            check(mode, precision=Precision.fp16)
    for mode in (Mode.zero2, Mode.zero3):
        with pytest.raises(ValueError, match=r"trains weights in fp32, got model.trainable_dtype=bf16"):
            check(mode, trainable_dtype=Precision.bf16)
    for mode in (Mode.fsdp2, Mode.zero3):
        with pytest.raises(ValueError, match=r"peft.quantization .* choose distributed=ddp or zero2"):
            check(mode, is_quantized=True)
    check(Mode.zero2, is_quantized=True)


def test_layers_are_compiled_only_where_nothing_is_divided() -> None:
    for mode in DIVIDED:
        with pytest.raises(ValueError, match=f"compile_layers=true and distributed={mode.name} are not combined here"):
            check(mode, compiles_layers=True)
    for mode in (Mode.single, Mode.ddp):
        check(mode, compiles_layers=True)


def test_zero_without_deepspeed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'paligemma-finetune\[deepspeed\]'"):
        check(Mode.zero3)


def test_single_refuses_company_and_the_others_do_not() -> None:
    with pytest.raises(ValueError, match="distributed=single is for one process and the launcher started 2"):
        Distribution(mode=Mode.single).check_launch(2)
    Distribution(mode=Mode.single).check_launch(1)
    Distribution(mode=Mode.zero3).check_launch(8)


@pytest.mark.parametrize("name", ["init_timeout_seconds", "step_timeout_seconds", "wait_timeout_seconds"])
def test_a_timeout_must_be_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"distributed.{name} must be above 0"):
        Distribution(**{name: 0.0})  # type: ignore[arg-type]


def test_a_launcher_with_another_plan_is_refused_and_one_with_the_same_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ValueError, match="configured for DeepSpeed and the run for distributed=ddp: choose"):
        launch.refuse_other_plans(Mode.ddp)
    launch.refuse_other_plans(Mode.zero2)
    # What is left of it would make accelerate plan for itself.
    launch.refuse_other_plans(Mode.ddp)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match="configured for FSDP"):
        launch.refuse_other_plans(Mode.zero2)


def test_without_a_gpu_libraries_are_told_so_and_a_choice_of_the_users_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    launch.settle_for_cpu(1)
    assert environment == {"DS_ACCELERATOR": "cpu"}
    environment["DS_ACCELERATOR"] = "xpu"
    launch.settle_for_cpu(2)
    assert environment == {"DS_ACCELERATOR": "xpu", "ACCELERATE_USE_CPU": "true"}
    environment.clear()
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    launch.settle_for_cpu(2)
    assert environment == {}
