"""The settings of single commands: plain top-level keys beside the run's own sections.

With `run`, the command starts from the configuration that the run was trained with (`finetune.config.replay`).
"""

from dataclasses import dataclass, field
from enum import Enum

from finetune.settings import above, at_least


class ExportFormat(Enum):
    """A peft adapter for the plain base model, or a whole model with the adapter merged in.

    `merged` is a Hugging Face folder, `npz` the original's checkpoint.
    """

    adapter = "adapter"
    merged = "merged"
    npz = "npz"


@dataclass(kw_only=True)
class EvaluateCommand:
    """What `finetune evaluate` scores.

    Args:
        run: Folder of a run; None: the base model, as configured here.
        weights: Which of its checkpoints: latest, best, or a name such as step-00001200.
        split: Which split; None: the data set's evaluation split.
    """

    run: str | None = None
    weights: str = "latest"
    split: str | None = None

    def __post_init__(self) -> None:
        _check_weights(self.run, self.weights)


@dataclass(kw_only=True)
class PredictCommand:
    """What `finetune predict` reads and writes.

    Args:
        run: Folder of a run; None: the base model, as configured here.
        weights: Which of its checkpoints: latest, best, or a name such as step-00001200.
        images: Image files or glob patterns, of folders where data.num_images puts several images into one example;
            empty: the samples of `split`. All are read, whatever evaluation.num_samples is.
        split: Which split where no images are given; None: the data set's evaluation split.
        prefix: Text to show the model instead of the recipe's own.
        question: For images and a recipe whose prefix holds a question.
        to: The JSONL file to write; None: standard output, or nothing where a submission is written.
        submission: The file to write for the server that scores the split's hidden answers, in the server's own format.
        drawings: Folder for the images with boxes and masks drawn on them, and a page of all; None: nothing is drawn.
    """

    run: str | None = None
    weights: str = "latest"
    images: list[str] = field(default_factory=list)
    split: str | None = None
    prefix: str | None = None
    question: str | None = None
    to: str | None = None
    submission: str | None = None
    drawings: str | None = None

    def __post_init__(self) -> None:
        _check_weights(self.run, self.weights)
        if self.images and self.split is not None:
            raise ValueError("give images or split, not both")
        if self.prefix is not None and self.question is not None:
            raise ValueError("give prefix or question, not both")
        if self.question is not None and not self.images:
            raise ValueError("question needs images; the samples of a split bring their own")
        if self.submission is not None and self.images:
            raise ValueError(
                "submission needs the samples of a split, such as split=test; images have no ids for a server"
            )


@dataclass(kw_only=True)
class ExportCommand:
    """What `finetune export` writes.

    Args:
        run: Folder of a run; None: the base model, as configured here, in another format.
        weights: Which of its checkpoints: latest, best, or a name such as step-00001200.
        to: The folder to write; None: `export` inside the run's folder.
    """

    run: str | None = None
    weights: str = "latest"
    format: ExportFormat = ExportFormat.adapter
    to: str | None = None

    def __post_init__(self) -> None:
        _check_weights(self.run, self.weights)
        if self.run is None and self.format is ExportFormat.adapter:
            raise ValueError(
                "format=adapter needs run=<folder of a run>; a base model is converted with format=merged or format=npz"
            )
        if self.run is None and self.to is None:
            raise ValueError("to must be given where there is no run: the folder to write the base model to")


@dataclass(kw_only=True)
class InspectCommand:
    """What `finetune inspect` reads and shows.

    Args:
        run: Folder of a run whose configuration is used again; None: as configured here.
        split: Which split; None: the data set's training split.
        num_shown: How many samples the page shows.
        to: The HTML file to write; None: `inspect-<split>.html` under `runs`.
    """

    run: str | None = None
    split: str | None = None
    num_shown: int = 36
    to: str | None = None

    def __post_init__(self) -> None:
        at_least("num_shown", self.num_shown, 0)


@dataclass(kw_only=True)
class PlanCommand:
    """What `finetune plan` assumes.

    Args:
        card_gib: Memory of the GPU in GiB; None: this machine's.
        text_tokens: Length of each example's text; None: data.max_text_tokens.
    """

    card_gib: float | None = None
    text_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.card_gib is not None:
            above("card_gib", self.card_gib, 0)
        if self.text_tokens is not None:
            at_least("text_tokens", self.text_tokens, 2)


@dataclass(kw_only=True)
class VerifyCommand:
    """What `finetune verify` compares; on the command line the two files may stand without their names.

    Args:
        npz: A checkpoint of the original: a PaliGemma or a mask codec.
        expected: An .npz with what the original was given and what it returned.
    """

    npz: str
    expected: str


@dataclass(kw_only=True)
class ReportCommand:
    """What `finetune report` compares; on the command line the folders stand without their setting's name.

    Args:
        folders: Folders of runs, folders that hold such folders, or glob patterns of both.
        to: The file to write beside the terminal's table: Markdown where it ends in .md, a page where in .html.
    """

    folders: list[str] = field(default_factory=list)
    to: str | None = None

    def __post_init__(self) -> None:
        if not self.folders:
            raise ValueError(
                "finetune report needs folders of runs: finetune report runs/first runs/second, or 'runs/*'"
            )
        if self.to is not None and not self.to.endswith((".md", ".html")):
            raise ValueError(f"to must end in .md for Markdown or in .html for a page, got {self.to}")


def _check_weights(run: str | None, weights: str) -> None:
    if run is None and weights != "latest":
        raise ValueError(f"weights={weights} needs run=<folder of a run>; without one the base model is used")
