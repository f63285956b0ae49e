"""The fixed sections of a run's configuration: every setting with its type, its default and its rule.

Each room takes the section that it needs; `finetune.config` fills them from YAML and the command line. A choice (model,
peft, recipe, dataset, optimizer, schedule, tracking) has its fields in its own dataclass, next to the code that uses
them, and checks them with the three functions at the end of this file.
"""

from dataclasses import dataclass, field
from enum import Enum

# Pillow refuses larger images whatever its caller says.
LARGEST_MAX_PIXELS = 178_956_970


class ResumeMode(Enum):
    """What to do with the run's folder: continue if it exists, start only if it does not, or insist that it does."""

    auto = "auto"
    never = "never"
    require = "require"


# What to do where a checkpoint cannot be written. Not a class, because Python reserves one of the words.
OnSaveError = Enum("OnSaveError", [("stop", "stop"), ("continue", "continue")])


class Resize(Enum):
    """How an image becomes square: as the original (bilinear, truncated), as it but rounded, which is nearest to what
    it does with frames of a video (it keeps their fractions), as the Hugging Face processor (bicubic), or as that
    processor does beside torchvision, three to five times as fast and up to two grey levels off."""

    reference = "reference"
    reference_rounded = "reference_rounded"
    hf = "hf"
    hf_fast = "hf_fast"


class OnBadSample(Enum):
    """Stop at a sample that cannot be used, or leave it out and write it to skips.jsonl."""

    stop = "stop"
    skip = "skip"


class OnOverlong(Enum):
    """Treat an example over `data.max_text_tokens` as a bad sample, or cut it on the right as the original does."""

    refuse = "refuse"
    truncate = "truncate"


class BoxSpace(Enum):
    """Whether boxes were drawn on the image as people see it or as it is stored, where EXIF rotates it."""

    oriented = "oriented"
    stored = "stored"


class Normalization(Enum):
    """Mean over examples of each example's mean (the original), or mean over all target tokens of the window."""

    example = "example"
    token = "token"


class Precision(Enum):
    """A floating-point format."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Checkpointing(Enum):
    """What decoder layers (and the image encoder's, where they train) compute again backwards instead of keeping it.

    Each is exact. From the fastest to the leanest: keep everything; every fourth layer; every second layer; each
    layer's MLP; every layer; every layer, with what is kept of it in the host's memory. auto: the first that fits.
    """

    auto = "auto"
    none = "none"
    quarter = "quarter"
    half = "half"
    mlp = "mlp"
    all = "all"
    offload = "offload"


@dataclass(kw_only=True)
class DataSettings:
    """From a row to pixels and ids.

    Args:
        resize: Pixels of the original or of the Hugging Face processor; exports carry it.
        antialias: Whether `reference` (rounded or not) smooths when it shrinks (some of the original's recipes do not).
        eval_antialias: The same for images that the model is asked about; None: as `antialias`.
        max_text_tokens: Longest prefix + newline + suffix + EOS, in tokens; BOS is not counted.
        num_images: Images of every example: a row with more shows its first ones, a row with fewer begins again from
            its first; None: as many as each row has.
        random_start: Whether training shows a video that has more than num_images frames, at the data set's stride,
            from a random one on; an evaluation begins with the first.
        max_images: Without num_images, a row with more is a bad sample: every image is memory and tokens of its own.
        row_tokens: None: one example a row. A number: pack whole examples into rows of so many tokens.
        keep_images_together: Whether the examples of one image follow one another in the training order, so that what
            they have in common is computed once. It changes the order of a run, and windows see fewer images.
        boxes_drawn_on: Which orientation annotations refer to.
        background: Grey level (0..255) put under transparent pixels.
        max_pixels: Larger images are refused before they are decoded.
        num_workers: Loader processes beside the main one; null: none on a CPU, and beside a GPU as many as one short
            measurement asks for.
        pixel_cache: Folder in which decoded and resized images are kept for later epochs and runs.
        feature_cache: Folder in which a frozen image encoder's outputs are kept, which all ranks must see; what is
            missing is computed before training.
        max_skips: With on_bad_sample=skip, stop after so many.
    """

    resize: Resize = Resize.reference
    antialias: bool = True
    eval_antialias: bool | None = None
    max_text_tokens: int = 128
    on_overlong: OnOverlong = OnOverlong.refuse
    num_images: int | None = None
    random_start: bool = False
    max_images: int = 64
    row_tokens: int | None = None
    keep_images_together: bool = False
    on_bad_sample: OnBadSample = OnBadSample.stop
    max_skips: int = 1000
    boxes_drawn_on: BoxSpace = BoxSpace.oriented
    background: int = 255
    max_pixels: int = 50_000_000
    num_workers: int | None = None
    pixel_cache: str | None = None
    feature_cache: str | None = None

    def __post_init__(self) -> None:
        at_least("max_text_tokens", self.max_text_tokens, 2)
        if self.num_images is not None:
            at_least("num_images", self.num_images, 1)
        elif self.random_start:
            raise ValueError("random_start=true needs num_images: how many frames of a video are shown")
        if self.random_start and self.feature_cache is not None:
            raise ValueError(
                "feature_cache keeps the frames that are shown, which random_start=true changes: choose one"
            )
        at_least("max_images", self.max_images, 1)
        if self.row_tokens is not None:
            at_least("row_tokens", self.row_tokens, 1)
        at_least("max_skips", self.max_skips, 0)
        between("background", self.background, 0, 255)
        between("max_pixels", self.max_pixels, 1, LARGEST_MAX_PIXELS)
        if self.num_workers is not None:
            at_least("num_workers", self.num_workers, 0)
        if self.resize in (Resize.hf, Resize.hf_fast) and False in (self.antialias, self.eval_antialias):
            chosen = f"resize={self.resize.name}"
            raise ValueError(f"antialias=false has no effect with {chosen}, which always smooths; set it to true")
        if self.feature_cache is not None and self.antialias_of_asked is not self.antialias:
            raise ValueError("feature_cache keeps one state an image; set eval_antialias to null, or do without it")

    @property
    def antialias_of_asked(self) -> bool:
        """Whether images that the model is asked about are smoothed."""
        return self.antialias if self.eval_antialias is None else self.eval_antialias

    def check_rows(self, num_image_tokens: int) -> None:
        """Refuse rows that could not hold the longest example; without data.num_images, the longest with one image.

        Args:
            num_image_tokens: Tokens of one image.

        Raises:
            ValueError: Naming the smallest number that would do.
        """
        num_image_tokens *= self.num_images or 1
        longest = num_image_tokens + 1 + self.max_text_tokens
        if self.row_tokens is not None and self.row_tokens < longest:
            raise ValueError(
                f"data.row_tokens={self.row_tokens} must be at least {longest}: {num_image_tokens} image "
                f"tokens, BOS and data.max_text_tokens={self.max_text_tokens}"
            )


@dataclass(kw_only=True)
class TrainingSettings:
    """One optimizer step and how many of them.

    Args:
        global_batch_size: Examples in one optimizer step, over all ranks and micro-batches.
        micro_batch_size: Examples in one forward on one rank.
        max_steps: Optimizer steps of the run; None: given by `epochs`.
        epochs: Passes over the training split; None: given by `max_steps`.
        clip_norm: Largest global gradient norm; None: not clipped.
        label_smoothing: Share of the target spread over the real vocabulary, as in the original.
        residual_dropout: Share of what each decoder layer's attention and MLP return that is dropped before it is
            added, in training alone; the original's `llm.dropout`.
        precision: What matrix products are computed in; fp32 needs model.dtype=fp32.
        compile_layers: Whether torch compiles each kind of layer when it first runs. It takes a minute or more, and
            numbers differ by rounding.
    """

    global_batch_size: int = 16
    micro_batch_size: int = 8
    max_steps: int | None = 100
    epochs: float | None = None
    normalization: Normalization = Normalization.example
    label_smoothing: float = 0.0
    residual_dropout: float = 0.0
    clip_norm: float | None = 1.0
    precision: Precision = Precision.fp32
    gradient_checkpointing: Checkpointing = Checkpointing.auto
    compile_layers: bool = False
    log_every_steps: int = 1

    def __post_init__(self) -> None:
        at_least("global_batch_size", self.global_batch_size, 1)
        at_least("micro_batch_size", self.micro_batch_size, 1)
        if self.global_batch_size % self.micro_batch_size:
            raise ValueError(
                f"global_batch_size ({self.global_batch_size}) must be a multiple of "
                f"micro_batch_size ({self.micro_batch_size})"
            )
        if (self.max_steps is None) == (self.epochs is None):
            raise ValueError("set exactly one of max_steps and epochs; the other is null")
        if self.max_steps is not None:
            at_least("max_steps", self.max_steps, 0)
        if self.epochs is not None:
            above("epochs", self.epochs, 0)
        between("label_smoothing", self.label_smoothing, 0, 0.999)
        between("residual_dropout", self.residual_dropout, 0, 0.99)
        if self.clip_norm is not None:
            above("clip_norm", self.clip_norm, 0)
        at_least("log_every_steps", self.log_every_steps, 1)


@dataclass(kw_only=True)
class PartFlags:
    """One switch for each part of the model."""

    image_encoder: bool = False
    connector: bool = False
    embeddings: bool = False
    decoder: bool = False


@dataclass(kw_only=True)
class PartMultipliers:
    """A factor on the learning rate for each part of the model, and with it on the part's weight decay.

    (The original's own factors, which none of its transfers sets, leave the decay alone.)
    """

    image_encoder: float = 1.0
    connector: float = 1.0
    embeddings: float = 1.0
    decoder: float = 1.0

    def __post_init__(self) -> None:
        for part in ("image_encoder", "connector", "embeddings", "decoder"):
            above(part, getattr(self, part), 0)


@dataclass(kw_only=True)
class EvaluationSettings:
    """Generating text on the evaluation split, and scoring it.

    Args:
        every_steps: Optimizer steps between evaluations; None: only at the end.
        before_training: Whether to evaluate at step 0, so that a report shows what training changed.
        num_samples: How many samples of the split, from its start; None: all.
        batch_size: Samples that are generated for at once. It changes no more than rounding does.
        num_beams: 1 decodes greedily; more keep that many hypotheses and add no length penalty.
        best_metric: Keep the checkpoint that scores best on this one, such as "mAP50"; None: do not.
        patience: Stop after so many evaluations without a better best_metric; None: never.
    """

    every_steps: int | None = None
    before_training: bool = True
    num_samples: int | None = None
    batch_size: int = 32
    max_new_tokens: int = 128
    num_beams: int = 1
    best_metric: str | None = None
    patience: int | None = None
    gallery_size: int = 24

    def __post_init__(self) -> None:
        for name in ("every_steps", "num_samples", "patience"):
            value = getattr(self, name)
            if value is not None:
                at_least(name, value, 1)
        at_least("batch_size", self.batch_size, 1)
        at_least("max_new_tokens", self.max_new_tokens, 1)
        at_least("num_beams", self.num_beams, 1)
        at_least("gallery_size", self.gallery_size, 0)
        if self.patience is not None and self.best_metric is None:
            raise ValueError("patience needs best_metric: name the metric to wait for")


@dataclass(kw_only=True)
class CheckpointSettings:
    """Saving the state of training.

    Args:
        every_steps: Optimizer steps between checkpoints; None: only at the end.
        keep_last: How many to keep besides the best; at least 2, because the last one may be damaged.
        asynchronous: Whether training goes on while a checkpoint is written, from a copy in the host's memory; null:
            where more than 1 GiB is saved. The last one, and those that a signal asks for, are waited for.
        on_save_error: Whether a checkpoint that the disk refuses ends the run, or is warned about until the next one.
            The last one always ends it.
    """

    every_steps: int | None = 100
    keep_last: int = 2
    asynchronous: bool | None = None
    on_save_error: OnSaveError = OnSaveError.stop

    def __post_init__(self) -> None:
        if self.every_steps is not None:
            at_least("every_steps", self.every_steps, 1)
        at_least("keep_last", self.keep_last, 2)


@dataclass(kw_only=True)
class ResumeSettings:
    """Going on with a run that is there already.

    Args:
        mode: Whether the run's folder may, must not or must hold a run.
        allow: Settings, by their dotted names, that may differ from those that the run was started with although they
            change what is computed; a section's name allows all of it. What changes is recorded in identity.json.
        max_restarts: How often in a row the run may be started again by itself without having saved anything new;
            null: without end.
    """

    mode: ResumeMode = ResumeMode.auto
    allow: list[str] = field(default_factory=list)
    max_restarts: int | None = 3

    def __post_init__(self) -> None:
        if self.max_restarts is not None:
            at_least("max_restarts", self.max_restarts, 0)


@dataclass(kw_only=True)
class SelfTestSettings:
    """The checks before the first step (`finetune doctor` runs them alone)."""

    enabled: bool = True
    num_examples: int = 2

    def __post_init__(self) -> None:
        at_least("num_examples", self.num_examples, 1)


def at_least(name: str, value: float, smallest: float) -> None:
    """Refuse a value below `smallest`, or a NaN."""
    if not value >= smallest:
        raise ValueError(f"{name} must be at least {smallest}, got {value}")


def above(name: str, value: float, bound: float) -> None:
    """Refuse a value not above `bound`, or a NaN."""
    if not value > bound:
        raise ValueError(f"{name} must be above {bound}, got {value}")


def between(name: str, value: float, smallest: float, largest: float) -> None:
    """Refuse a value outside [smallest, largest], or a NaN."""
    if not smallest <= value <= largest:
        raise ValueError(f"{name} must be between {smallest} and {largest}, got {value}")
