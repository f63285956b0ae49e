"""What a person types and what comes back: help, mistakes, sweeps, earlier runs, completion and exit codes."""

import os
import random
import re
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import finetune
from finetune.cli import run
from finetune.config.commands import EvaluateCommand, ExportFormat
from finetune.config.mistakes import known_settings
from finetune.config.parse import parse
from finetune.config.positional import POSITIONAL
from finetune.config.register import COMMANDS, STANDALONE, own_fields, register
from finetune.config.replay import CommandLine, save_command_line
from finetune.config.schema import RunConfig
from finetune.names import near
from finetune.settings import at_least


class Assembly(types.ModuleType):
    """Stands in for `finetune.assemble`: remembers its calls, and raises what it is told to."""

    def __init__(self) -> None:
        super().__init__("finetune.assemble")
        self.calls: list[tuple[Any, ...]] = []
        self.action: Callable[[], None] = lambda: None
        for command in COMMANDS:
            setattr(self, command, self._record(command))

    def _record(self, command: str) -> Callable[..., None]:
        def called(*arguments: Any) -> None:
            self.calls.append((command, *arguments))
            self.action()

        return called


@pytest.fixture(autouse=True)
def assembly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Assembly:
    stand_in = Assembly()
    monkeypatch.setitem(sys.modules, "finetune.assemble", stand_in)
    monkeypatch.setattr(finetune, "assemble", stand_in, raising=False)
    monkeypatch.setattr(sys, "argv", ["finetune"])
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def first_run() -> Path:
    """A run's folder, runs/first below the current one, as its command line left it."""
    folder = Path("runs/first")
    folder.mkdir(parents=True)
    save_command_line(folder, CommandLine(overrides=("dataset=voc", "dataset.root=cells", "training.max_steps=9")))
    return folder


# The commands that take a run's settings.
ABOUT_RUNS = [command for command in COMMANDS if command not in (*POSITIONAL, *STANDALONE)]

WRITES_NOTHING = ("doctor", "plan")

# The command line, and what the answer must say. `...` in front stands for "train".
MISTAKES: list[tuple[str, str]] = [
    ("trian", "did you mean train?"),
    ("evaluat run=runs/first", "did you mean evaluate?"),
    ("train trainng.max_steps=3", "unknown setting trainng.max_steps; did you mean training.max_steps?"),
    ("train training.max_step=3", "did you mean training.max_steps?"),
    ("train training.max_stepss=3", "did you mean training.max_steps?"),
    ("train learning_rate=3e-4", "did you mean optimizer.learning_rate"),
    ("train optimizer.lr=3e-4", "did you mean optimizer.learning_rate?"),
    ("train lr=3e-4", "optimizer.learning_rate"),
    ("train batch_size=4", "training.micro_batch_size"),
    ("train model=tiny_random model.generaton=1", "did you mean model.generation?"),
    ("train model.variant=pt-224", "unknown setting model.variant"),
    ("train sead=3", "did you mean seed?"),
    ("train recip=ocr", "did you mean recipe?"),
    ("train nonsense.of.mine=3", "unknown setting nonsense.of.mine; known: "),
    ("train +foo=1", "unknown setting foo"),
    ("train +training.max_step=1", "did you mean training.max_steps"),
    ("train ++training.max_step=1", "did you mean training.max_steps"),
    ("train model=tiny_random +model.generaton=1", "did you mean model.generation"),
    ("train +optimizer.momentum=0.9", "unknown setting optimizer.momentum"),
    ("train recipe=detektion", "there is no such choice; did you mean detection?"),
    ("train model=paligema-3b", "did you mean paligemma-3b"),
    ("train peft=tiny", "known: lora, none"),
    ("train experiment=nowhere", "experiment=nowhere: there is no such choice"),
    ("train dataset=", "dataset"),
    ("train model=null", "model must name a choice"),
    ("train +model=tiny", "model has a choice already, which model=tiny replaces"),
    ("train model@other=tiny", "model@other"),
    ("train ~model", "no setting can be removed"),
    ("train ~training.max_steps", "no setting can be removed"),
    ("train training.max_steps=many", "training.max_steps must be a whole number or null, got 'many'"),
    ("train training.max_steps=1.5", "training.max_steps must be a whole number or null, got 1.5"),
    ("train training.max_steps=", "training.max_steps must be a whole number or null, got ''"),
    ("train training=3", "training must be a group of settings, got 3"),
    ("train seed=null", "seed must be a whole number, got None"),
    ("train model=tiny_random model.generation=two", "model.generation must be a whole number, got 'two'"),
    ("train freeze.decoder=maybe", "freeze.decoder must be true or false, got 'maybe'"),
    ("train data.resize=bicubic", "data.resize must be one of reference, reference_rounded, hf, hf_fast, got"),
    ("train model.dtype=fp8", "model.dtype must be one of fp32, bf16, fp16, got 'fp8'"),
    ("train training.label_smoothing=2", "training.label_smoothing must be between 0 and 0.999, got 2.0"),
    ("train training.max_steps=-1", "training.max_steps must be at least 0, got -1"),
    ("train optimizer.learning_rate=nan", "optimizer.learning_rate must be a finite number, got nan"),
    ("train optimizer.learning_rate=inf", "optimizer.learning_rate must be a finite number, got inf"),
    ("train optimizer.weight_decay=inf", "optimizer.weight_decay must be a finite number, got inf"),
    ("train training.clip_norm=inf", "training.clip_norm must be a finite number, got inf"),
    ("train recipe.parts.a.weight=1", "only a mixture has parts; choose recipe=mixture"),
    (
        "train recipe=mixture dataset@recipe.parts.words.dataset=jsonl",
        "write +dataset@recipe.parts.words.dataset=",
    ),
    ("train plugins=[os] optimizer._target_=os.path.X", "is not a dataclass of os.path, which has none of its own"),
    ("train name=", "name must be a plain folder name such as cells-1, got ''"),
    ("train name=.", "name must be a plain folder name"),
    ("train name=..", "name must be a plain folder name"),
    ("train name=../../x", "name must be a plain folder name such as cells-1, got '../../x'"),
    ("evaluate name=/tmp/x", "name must be a plain folder name"),
    ("train optimizer.learning_rate=0", "optimizer.learning_rate must be above 0"),
    ("train peft.rank=0", "peft.rank must be at least 1"),
    ("train seed=-1", "seed must be at least 0, got -1"),
    ("train checkpoint.keep_last=1", "checkpoint.keep_last must be at least 2, got 1"),
    ("train training.micro_batch_size=5", "must be a multiple of"),
    ("train training.max_steps=null", "set exactly one of max_steps and epochs"),
    ("train training.epochs=3", "set exactly one of max_steps and epochs"),
    ("train evaluation.patience=2", "evaluation.patience needs best_metric"),
    ("train data.row_tokens=64", "data.row_tokens (64) must exceed data.max_text_tokens (128)"),
    ("train model=local", "model.path must be given: "),
    ("train dataset=voc", "dataset.root must be given: "),
    ("train optimizer._target_=os.system", "optimizer._target_=os.system is outside"),
    ("train optimizer._target_=torch.load", "torch.load is outside"),
    ("train optimizer._target_=finetune.engine.optimizer.AdamX", "did you mean AdamW"),
    ("train seed=${nowhere}", "seed: Interpolation key 'nowhere' not found"),
    ("train seed=1,2", "add --multirun to run each"),
    ("train recipe=ocr,vqa", "add --multirun to run each"),
    ("train -m seed=1,two", "seed must be a whole number, got 'two'"),
    ("train recipe", "cannot read 'recipe': write name=value"),
    ("train data=[1,", "cannot read 'data=[1,'"),
    ("train --verbose", "unrecognized arguments: --verbose"),
    ("train --cfg everything", "invalid choice: 'everything'"),
    ("train --config-dir nowhere", "nowhere' not found"),
    ("train --experimental-rerun x.pickle", "reads a pickle"),
    ("train dataset=hf dataset.path=https://me:canary@host/cells", "dataset.path: an address with a user name or"),
    ("train run=runs/first", "unknown setting run; did you mean runs"),
    ("evaluate run=runs/nowhere", "run=runs/nowhere: there is no such folder"),
    ("evaluate run=.", "not the folder of a run"),
    ("evaluate weights=best", "weights=best needs run=<folder of a run>"),
    ("evaluate splitt=test", "did you mean split?"),
    ("predict images=[a.png] split=test", "give images or split, not both"),
    ("predict images=3", "images must be a list such as [a,b], got 3"),
    ("export", "format=adapter needs run=<folder of a run>"),
    ("export run=runs/nowhere format=onnx", "there is no such folder"),
    ("inspect num_shown=-1", "num_shown must be at least 0"),
    ("doctor weights=best", "unknown setting weights"),
]


@pytest.mark.parametrize(("line", "answer"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_answered_in_two_lines_at_most(
    line: str, answer: str, capsys: pytest.CaptureFixture[str], assembly: Assembly
) -> None:
    assert run(_words(line)) == 2
    printed = capsys.readouterr()
    assert answer in printed.err
    assert printed.err.startswith(("finetune: ", f"finetune {line.split()[0]}: "))
    assert printed.err.count("\n") <= 2
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert assembly.calls == []


@pytest.mark.parametrize(
    "line",
    [
        "trian",
        "train trainng.max_steps=3",
        "train training.label_smoothing=2",
        "train recipe=detektion",
        "evaluate run=nowhere",
        "train dataset=voc dataset.root=nowhere",
        "train model=local model.path=nowhere",
        "inspect split=nowhere",
    ],
)
def test_a_mistake_is_answered_within_five_seconds_and_without_torch(line: str, repository: Path) -> None:
    program = (
        "import atexit, sys; from finetune.cli import run;"
        f"code = run({_words(line)!r}); heavy = {{'torch', 'transformers', 'wandb', 'datasets'}} & set(sys.modules);"
        "sys.exit(code if not heavy else f'imported {heavy}')"
    )
    start = time.monotonic()
    answer = _python("-c", program, repository=repository)
    assert time.monotonic() - start < 5
    assert (answer.returncode, answer.stdout) == (2, "")
    assert 1 <= answer.stderr.count("\n") <= 2
    assert "Traceback" not in answer.stderr


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(repository: Path) -> None:
    for words in (["train", "--help"], ["--help"], ["train", "--cfg", "job"]):
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        command = subprocess.Popen(
            [sys.executable, "-m", "finetune", *words],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == ""
        assert command.wait() == 141


def test_the_module_is_the_command(repository: Path) -> None:
    answer = _python("-m", "finetune", "train", "training.max_step=3", repository=repository)
    assert answer.returncode == 2
    assert answer.stderr == "finetune train: unknown setting training.max_step; did you mean training.max_steps?\n"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "doctor"])
def test_a_setting_with_a_wrong_letter_is_unknown_and_the_right_one_is_named(command: str) -> None:
    known = known_settings(command, [])
    own = [field.name for field in own_fields(COMMANDS[command])]
    misspelt = [(name, wrong) for name in (own or known) for wrong in _misspellings(name) if wrong not in known]
    tried = random.Random(0).sample(misspelt, min(len(misspelt), 1500))
    found = [near(wrong, known)[:1] == [name] for name, wrong in tried]
    assert sum(found) >= 0.9 * len(tried)


def test_a_misspelt_setting_never_passes_the_parser() -> None:
    known = known_settings("train", [])
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        composed = compose("train")
    pick = random.Random(0)
    for name in (name for name in known if name not in ("experiment", "debug")):
        wrong = pick.choice([wrong for wrong in _misspellings(name) if wrong not in known])
        settings = composed.copy()
        OmegaConf.update(settings, wrong, 1, force_add=True)
        with pytest.raises(ValueError, match=rf"unknown setting {wrong.partition('.')[0]}|must be"):
            parse(settings)


def test_the_bare_command_lists_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for command in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert len(line.split()) > 4


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["train", "--version"]):
        assert run(words) == 0
        assert capsys.readouterr().out == f"finetune {finetune.__version__}\n"


@pytest.mark.parametrize("command", ABOUT_RUNS)
def test_help_names_the_groups_with_their_choices_and_three_examples(
    command: str, capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    for group in (folder for folder in (repository / "conf").iterdir() if any(folder.glob("*.yaml"))):
        choices = ", ".join(sorted(path.stem for path in group.glob("*.yaml")))
        assert f"{group.name}: {choices}\n" in text
    assert len(_examples(text, command)) == 3
    assert "runs" in text or command in WRITES_NOTHING
    assert all(len(line) <= 120 for line in text.splitlines() if not re.match(r"[a-z]+: ", line))


@pytest.mark.parametrize("command", POSITIONAL)
def test_help_of_a_command_that_takes_files_says_so_and_names_no_group(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"finetune {command} CHECKPOINT.npz EXPECTED.npz\n")
    assert "recipe: " not in text
    assert len(_examples(text, command)) == 3
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_of_the_help_works(
    command: str, capsys: pytest.CaptureFixture[str], assembly: Assembly, first_run: Path
) -> None:
    run([command, "--help"])
    for example in _examples(capsys.readouterr().out, command):
        assembly.calls.clear()
        assert run(_words(example)[1:]) == 0, example
        assert {call[0] for call in assembly.calls} == {command}


@pytest.mark.parametrize("command", ABOUT_RUNS)
def test_cfg_shows_every_setting_with_its_value(
    command: str, capsys: pytest.CaptureFixture[str], assembly: Assembly
) -> None:
    assert run([command, "--cfg", "job", "training.max_steps=7"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert shown.training.max_steps == 7
    assert shown.data.resize == "reference"
    assert {*vars(RunConfig())} <= set(shown)
    assert assembly.calls == []


def test_flags_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "seed=3", "--cfg", "job", "training.max_steps=7"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert (shown.seed, shown.training.max_steps) == (3, 7)


def test_a_run_gets_the_configuration_its_name_and_its_overrides(assembly: Assembly) -> None:
    assert run(["train", "recipe=ocr", "seed=3"]) == 0
    ((command, config, line),) = assembly.calls
    assert (command, config.seed, line) == ("train", 3, CommandLine(overrides=("recipe=ocr", "seed=3")))
    assert config.name == "ocr-scenes-tiny-lora-seed3"


@pytest.mark.parametrize("line", ["train", "evaluate", "train -m"])
def test_a_password_in_an_address_is_refused_without_repeating_it(
    line: str, assembly: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*_words(line), "dataset=hf", "dataset.path=https://me:canary@host/cells"]) == 2
    printed = capsys.readouterr().err
    assert "write dataset.path='${oc.env:NAME}'" in printed
    assert "canary" not in printed


def test_an_address_from_the_environment_is_kept_by_its_variables_name(
    assembly: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLS", "https://me:canary@host/cells")
    assert run(["train", "dataset=hf", "dataset.path='${oc.env:CELLS}'"]) == 0
    [(_, config, line)] = assembly.calls
    assert config.dataset.path == "https://me:canary@host/cells"
    assert not any("canary" in override for override in line.overrides)


def test_nothing_is_written_by_the_command_line_itself(tmp_path: Path) -> None:
    assert run(["train"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_jobs_of_a_sweep_have_folders_of_their_own(assembly: Assembly) -> None:
    assert run(["train", "-m", "seed=0,1", "training.max_steps=3,4", "name=mine"]) == 0
    assert len({config.name for _, config, _ in assembly.calls}) == 4
    assert all(config.name.startswith("mine-") for _, config, _ in assembly.calls)
    assert {line.overrides[:2] for _, _, line in assembly.calls} == {
        (f"seed={seed}", f"training.max_steps={steps}") for seed in (0, 1) for steps in (3, 4)
    }


def test_a_job_of_a_sweep_is_named_after_what_the_sweep_varies_alone(assembly: Assembly) -> None:
    assert run(["train", "-m", "training.max_steps=3,4", "peft.rank=2", "name=mine"]) == 0
    names = [config.name for _, config, _ in assembly.calls]
    assert names == ["mine-training.max_steps=3", "mine-training.max_steps=4"]


def test_what_hydra_writes_of_a_sweep_goes_where_the_runs_go(assembly: Assembly, tmp_path: Path) -> None:
    assert run(["train", "-m", "seed=0,1", "runs=elsewhere"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_a_sweep_into_a_place_that_is_no_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("page").write_text("")
    assert run(["train", "-m", "seed=0,1", "runs=page"]) == 2
    assert capsys.readouterr().err.startswith("finetune train: runs: nothing can be written to page")


def test_a_failing_job_does_not_stop_a_sweep(assembly: Assembly, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "-m", "seed=0,1", "training.label_smoothing=2,0"]) == 2
    assert len(assembly.calls) == 2
    assert capsys.readouterr().err.count("training.label_smoothing must be between") == 2


def test_an_earlier_run_lends_its_configuration(assembly: Assembly, first_run: Path) -> None:
    assert run(["evaluate", "run=runs/first", "weights=best", "evaluation.num_beams=4"]) == 0
    ((_, config, command, _),) = assembly.calls
    assert (config.runs, config.name) == ("runs", "first")
    assert (config.dataset.root, config.training.max_steps, config.evaluation.num_beams) == ("cells", 9, 4)
    assert command == EvaluateCommand(run="runs/first", weights="best")


def test_the_experiment_is_told_to_what_trains_and_what_evaluates(assembly: Assembly) -> None:
    assert run(["train", "experiment=demo"]) == 0
    assert assembly.calls[-1][-1].experiment == "demo"
    Path("runs").mkdir()
    save_command_line(Path("runs"), assembly.calls[-1][-1])
    assert run(["evaluate", "run=runs"]) == 0
    assert assembly.calls[-1][-1].experiment == "demo"
    assert run(["evaluate"]) == 0
    assert assembly.calls[-1][-1].experiment is None


def test_folders_of_runs_are_named_by_position(assembly: Assembly) -> None:
    assert run(["report", "runs/a, b", "runs/*", "to=table.md"]) == 0
    ((_, _, command),) = assembly.calls
    assert (command.folders, command.to) == (["runs/a, b", "runs/*"], "table.md")


def test_a_run_may_be_moved_to_a_folder_with_any_name(assembly: Assembly, first_run: Path) -> None:
    moved = Path("a folder, with = signs").resolve()
    first_run.rename(moved)
    assert run(["export", f"run='{moved}'", "format=merged"]) == 0
    ((_, config, command),) = assembly.calls
    assert (config.runs, config.name) == (str(moved.parent), moved.name)
    assert command.format is ExportFormat.merged


def test_another_data_set_replaces_the_runs_own(assembly: Assembly, first_run: Path) -> None:
    assert run(["evaluate", "run=runs/first", "dataset=scenes"]) == 0
    ((_, config, _, _),) = assembly.calls
    assert type(config.dataset).__name__ == "Scenes"
    assert config.training.max_steps == 9


def test_choices_of_the_users_own_are_found(assembly: Assembly) -> None:
    folder = Path("mine/experiment")
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text("# @package _global_\ntraining:\n  max_steps: 2\n")
    assert run(["train", "--config-dir", "mine", "experiment=quick"]) == 0
    ((_, config, _),) = assembly.calls
    assert config.training.max_steps == 2
    assert config.name == "detection-scenes-tiny-lora-quick-seed0"


def test_a_run_made_with_choices_of_the_users_own_asks_for_them_again(
    assembly: Assembly, first_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("mine/experiment")
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text("# @package _global_\ntraining:\n  max_steps: 2\n")
    assert run(["train", "--config-dir", "mine", "experiment=quick"]) == 0
    ((_, _, line),) = assembly.calls
    assert line.config_dir == str(Path("mine").resolve())
    save_command_line(first_run, line)
    assert run(["evaluate", "run=runs/first"]) == 2
    assert f"was made with --config-dir {line.config_dir}; add that" in capsys.readouterr().err
    assert run(["evaluate", "run=runs/first", "--config-dir", "mine"]) == 0
    assert assembly.calls[-1][1].training.max_steps == 2


def test_a_run_can_be_named_from_inside_its_folder(
    assembly: Assembly, first_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = first_run.parent.resolve()
    monkeypatch.chdir(first_run)
    assert run(["evaluate", "run=."]) == 0
    ((_, config, _, _),) = assembly.calls
    assert (config.runs, config.name) == (str(runs), "first")


def test_a_misspelt_setting_in_a_file_of_the_users_own_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("mine/experiment")
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text("# @package _global_\ntraining:\n  max_step: 2\n")
    assert run(["train", "--config-dir", "mine", "experiment=quick"]) == 2
    assert "unknown setting training.max_step; did you mean training.max_steps?" in capsys.readouterr().err


class Stopped(Exception):  # noqa: N818
    exit_code = 75


class NotFinite(ValueError):  # noqa: N818
    exit_code = 3


class Failed(RuntimeError):  # noqa: N818
    exit_code = 1


def _raise(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        (lambda: at_least("rows", 0, 1), 2, "finetune train: rows must be at least 1, got 0\n"),
        (_raise(Stopped("saved step 7; start it again")), 75, "finetune train: saved step 7; start it again\n"),
        (
            _raise(NotFinite("loss is nan\nat step 3\nsamples a, b")),
            3,
            "finetune train: loss is nan\nat step 3 samples a, b\n",
        ),
        (
            _raise(NotFinite("other settings\n  peft.rank: was 4, is now 8\n  seed: was 0, is now 1")),
            3,
            "finetune train: other settings\n  peft.rank: was 4, is now 8\n  seed: was 0, is now 1\n",
        ),
        (_raise(Failed("self-test failed: masks")), 1, "finetune train: self-test failed: masks\n"),
        (_raise(KeyboardInterrupt()), 130, "finetune train: interrupted\n"),
    ],
)
def test_what_a_run_raises_becomes_its_exit_code(
    action: Callable[[], None], code: int, message: str, assembly: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    assembly.action = action
    assert run(["train"]) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("error", [RuntimeError("a fault"), TypeError("a fault"), ValueError("a fault elsewhere")])
def test_a_fault_of_ours_keeps_its_traceback(
    error: Exception, assembly: Assembly, capsys: pytest.CaptureFixture[str]
) -> None:
    assembly.action = _raise(error)
    assert run(["train"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_stopped_job_stops_the_sweep(assembly: Assembly) -> None:
    assembly.action = _raise(Stopped("saved"))
    assert run(["train", "-m", "seed=0,1,2"]) == 75
    assert len(assembly.calls) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("finetune ", set(COMMANDS)),
        ("finetune e", {"evaluate", "export"}),
        ("finetune train rec", {"recipe=", "recipe."}),
        ("finetune train recipe=det", {"recipe=detection"}),
        ("finetune train seed=3 training.max", {"training.max_steps="}),
        ("finetune export for", {"format="}),
        ("finetune nothing ", set()),
    ],
)
def test_a_shell_completes_commands_choices_and_settings(
    line: str, expected: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert run(["-sc", "query=bash"]) == 0
    assert set(capsys.readouterr().out.split()) == expected


def test_completion_is_installed_for_the_whole_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-sc", "install=bash"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("-F hydra_bash_completion finetune")


def test_bash_itself_completes(tmp_path: Path, repository: Path) -> None:
    script = tmp_path / "finetune"
    script.write_text(f"#!{sys.executable}\nfrom finetune.cli import main\nmain()\n")
    script.chmod(0o755)
    asks = 'eval "$(finetune -sc install=bash)"; COMP_LINE="finetune train rec"; COMP_POINT=18; COMP_CWORD=2; '
    asks += 'hydra_bash_completion; echo "${COMPREPLY[@]}"'
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(repository)}
    answer = subprocess.run(["bash", "-c", asks], env=environment, capture_output=True, text=True, timeout=60)
    assert answer.stdout.split() == ["recipe.", "recipe="]


def _words(line: str) -> list[str]:
    """Split a line as a shell would, with single quotes alone."""
    return [re.sub("'", "", word) for word in re.findall(r"(?:'[^']*'|\S)+", line)]


def _examples(text: str, command: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(rf"finetune {command}(?!\S)", line)]


def _misspellings(name: str) -> Iterator[str]:
    """Drop, double and swap every letter of a name."""
    for index, letter in enumerate(name):
        if letter.isalpha():
            yield name[:index] + name[index + 1 :]
            yield name[:index] + letter + name[index:]
            following = name[index + 1 : index + 2]
            if following.isalpha() and following != letter:
                yield name[:index] + following + letter + name[index + 2 :]


def _python(*arguments: str, repository: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    environment.pop("HYDRA_FULL_ERROR", None)
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
