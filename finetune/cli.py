"""The `finetune` command: one Hydra application for each of its commands, over the packaged `conf/`.

    finetune train recipe=detection dataset=voc dataset.root=~/cells training.max_steps=500
    finetune evaluate run=runs/detection-voc-tiny-lora-seed0 weights=best

A mistake in a command line is answered in one or two lines, before torch is imported, with exit code 2.
"""

import os
import select
import sys
import traceback
from collections.abc import Callable, Sequence

from finetune import __version__
from finetune.commands.outcome import is_done, objective
from finetune.commands.run_identity import run_folder
from finetune.config.application import Job, complete, compose_and_call, own_settings, summary
from finetune.config.build import PACKAGES
from finetune.config.commands import EvaluateCommand
from finetune.config.launched import check_launched, is_told_by_main_rank
from finetune.config.parse import parse, parse_command
from finetune.config.queued import run_queued
from finetune.config.register import COMMANDS
from finetune.names import hint

EXIT_BUG = 1
EXIT_MISTAKE = 2
EXIT_PREEMPTED = 75
EXIT_INTERRUPTED = 130
# As a shell reports a program that SIGPIPE ended.
EXIT_READER_GONE = 141

# Read before Hydra is called, which gets the variable set in this process and in the jobs that it submits.
_WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1" and "SUBMITIT_EXECUTOR" not in os.environ
_HELP = ("-h", "--help", "help")
_COMPLETION = ("-sc", "--shell-completion")


def main() -> None:
    """Run the command line of this process and exit with its code."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain that `head` has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_READER_GONE
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run one command line, given without the program's name, and return its exit code."""
    # DeepSpeed's launcher puts it before what was typed; the environment says the same.
    words = [word for word in words if not word.startswith("--local_rank=")]
    if not words or words[0] in _HELP:
        print(_overview())
        return 0
    if "--version" in words:
        print(f"finetune {__version__}")
        return 0
    if words[0] in _COMPLETION:
        return _complete(words)
    command = words[0]
    if command not in COMMANDS:
        print(f"finetune: there is no command {command}; {hint(command, COMMANDS)}", file=sys.stderr)
        return EXIT_MISTAKE
    return _guarded(command, lambda: _run_launched(command, words[1:]), packages=PACKAGES)


def _run_launched(command: str, words: Sequence[str]) -> int:
    check_launched(os.environ)
    return _run_jobs(command, words)


def _overview() -> str:
    """List the commands with the first line of each one's help."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:<{width}}  {summary(command)}" for command in COMMANDS]
    return "\n".join(
        [
            "Fine-tune PaliGemma on your images.",
            "",
            "finetune <command> [name=value ...]",
            "",
            *lines,
            "",
            "finetune <command> --help      what it does, its choices and examples",
            "finetune <command> --cfg job   every setting with its value",
            "finetune --version",
            'Completion: eval "$(finetune -sc install=bash)" (zsh takes the same line)',
        ]
    )


def _run_jobs(command: str, words: Sequence[str]) -> int:
    """Run the command once, or once for each job of a sweep; return the first exit code that is not 0."""
    codes: list[int] = []

    def call(job: Job) -> float | None:
        scores: list[float | None] = []

        def execute() -> int:
            scores.append(_execute(command, job))
            return 0

        # Hydra writes a line of its own for an exception that leaves a job, so none does.
        run_job = run_queued if job.is_queued else lambda name, action: action()
        codes.append(run_job(_title(job), lambda: _guarded(command, execute, packages=[*PACKAGES, *job.plugins])))
        if codes[-1] in (EXIT_PREEMPTED, EXIT_INTERRUPTED, EXIT_READER_GONE):
            sys.exit(codes[-1])
        return scores[0] if scores else None

    stopped = compose_and_call(command, words, call)
    return stopped or next((code for code in codes if code), 0)


def _execute(command: str, job: Job) -> float | None:
    """Check everything, then hand over to the composition root, whose rooms import torch.

    Returns:
        For the training of a search, the score that it makes better.
    """
    own = COMMANDS[command]
    config = parse(job.composed, own_settings(command))
    settings = parse_command(job.composed, own) if own is not None else None
    if getattr(settings, "run", None) is None:
        job.name_run(config)
    if job.number is not None:
        print(f"finetune {command}: {_title(job)}", flush=True)
        if command == "train" and is_done(config):
            print(f"finetune {command}: job {job.number} is done already: {run_folder(config)}", flush=True)
            return objective(config)

    from finetune import assemble

    if command == "train":
        assemble.train(config, job.line)
    elif isinstance(settings, EvaluateCommand):
        assemble.evaluate(config, settings, job.line)
    elif settings is None:
        assemble.doctor(config)
    else:
        getattr(assemble, command)(config, settings)
    return objective(config) if command == "train" else None


def _title(job: Job) -> str:
    return f"job {job.number}: {' '.join(job.line.overrides)}"


def _complete(words: Sequence[str]) -> int:
    """Answer a shell's completion query, in which `finetune <command>` stands where Hydra expects one word."""
    line = os.environ.get("COMP_LINE", "")
    typed = line.split()
    is_query = any(word.startswith("query=") for word in words)
    if is_query and len(typed) + line.endswith(" ") <= 2:
        print("\n".join(command for command in COMMANDS if command.startswith("".join(typed[1:2]))))
        return 0
    command = typed[1] if is_query else "train"
    if command not in COMMANDS:
        return 0
    if is_query:
        os.environ["COMP_LINE"] = " ".join([typed[0], *typed[2:]]) + " " * line.endswith(" ")
    return _guarded(command, lambda: complete(command, words), packages=PACKAGES)


def _guarded(command: str, action: Callable[[], int], *, packages: Sequence[str]) -> int:
    """Run `action` and turn what it raises into a message and an exit code."""
    try:
        return action()
    except KeyboardInterrupt:
        code, message = EXIT_INTERRUPTED, "interrupted"
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_reader_gone():
            return EXIT_READER_GONE
        told = _exit_code(error, packages)
        code, message = EXIT_BUG if told is None else told, str(error)
        if told is None or _WANTS_TRACEBACK:
            traceback.print_exception(error)
            return code
    if not is_told_by_main_rank(code, os.environ):
        print(f"finetune {command}: {_shown(message)}", file=sys.stderr)
    return code


def _shown(message: str) -> str:
    """Put a message on two lines at most; lines of a list, which are indented, stay as they are."""
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    first, *rest = [line for line in lines if not line.startswith("  ")] or [""]
    return "\n".join([first, *([" ".join(rest)] if rest else []), *(line for line in lines if line.startswith("  "))])


def _exit_code(error: Exception, packages: Sequence[str]) -> int | None:
    """Return the error's own code, or that of a mistake for a ValueError of ours or of a plug-in; None: it is a bug."""
    if hasattr(error, "exit_code"):
        return int(error.exit_code)
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    is_mistake = isinstance(error, ValueError) and package in (*packages, "hydra", "omegaconf")
    return EXIT_MISTAKE if is_mistake else None


def _is_reader_gone() -> bool:
    """Tell whether what reads standard output, such as `head`, has closed it."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
