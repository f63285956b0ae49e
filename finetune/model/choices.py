"""Which PaliGemma to fine-tune: tiny, published, or in a folder or file of one's own. Imports without torch."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.model.folder import inspect_folder, read_facts
from finetune.model.npz_checkpoint import NpzCheckpoint, inspect_npz
from finetune.model.npz_tokenizer import find_tokenizer, is_hub_name, tokenizer_at_hand
from finetune.settings import Precision, at_least
from finetune.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from finetune.model.load import LoadedModel

PATCH_SIZE = 14
TINY_IMAGE_SIZE = 112
# The embedded model: weights, configuration, card and tokenizer.
TINY_CHECKPOINT = Path(__file__).parent / "tiny_checkpoint"
TINY_TOKENIZER = TINY_CHECKPOINT
_VARIANT = re.compile(r"(pt|mix|ft-[a-z0-9_-]+)-(224|448|896)")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInputs:
    """What a model reads: enough to turn samples into ids and pixels without its weights.

    Args:
        image_size: Side of the square image in pixels.
        num_image_tokens: Image tokens of one image.
    """

    tokenizer: Tokenizer
    image_size: int
    num_image_tokens: int


@dataclass(frozen=True, kw_only=True)
class PretrainedTinyModel:
    """The embedded PaliGemma 2 of a few million parameters, which has learnt five tasks over rendered scenes.

    Its card, finetune/model/tiny_checkpoint/README.md, says how, and how well it does them.

    Args:
        image_size: Side of the square image in pixels; None: 112, which makes 64 image tokens.
        dtype: What frozen weights are kept in.
        trainable_dtype: What trained weights are kept in.
    """

    image_size: int | None = None
    dtype: Precision = Precision.fp32
    trainable_dtype: Precision = Precision.fp32

    @property
    def weights_folder(self) -> Path:
        """Where the weights lie, with what is recorded about them."""
        return TINY_CHECKPOINT

    def check(self) -> None:
        """Refuse a resolution that is no whole number of patches."""
        check_image_size(self.image_size, PATCH_SIZE)

    def read_inputs(self) -> ModelInputs:
        """Return the tiny model's form of input."""
        return _read_inputs(TINY_CHECKPOINT, self.image_size)

    def load(self) -> "LoadedModel":
        """Read the weights. Their revision is their hash: another release may embed better ones."""
        self.check()
        from finetune.model.load import Base, load_folder

        digest = hashlib.sha256((TINY_CHECKPOINT / "model.safetensors").read_bytes()).hexdigest()
        base = Base(name="tiny", revision=digest[:16], folder=TINY_CHECKPOINT)
        return load_folder(base, setting="model=tiny", dtype=self.dtype, image_size=self.image_size)


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """A PaliGemma of a few million parameters, initialised at random: the real classes with small dimensions.

    Args:
        generation: 1 (Gemma 1 decoder, one key-value head) or 2 (Gemma 2: grouped queries, attention soft-cap).
        init_seed: Decides the initial weights.
        image_size: Side of the square image in pixels; None: 112, which makes 64 image tokens.
        vision_width, vision_depth, decoder_width, decoder_depth: Hidden size (a multiple of 32) and layers.
        dtype: What frozen weights are kept in.
        trainable_dtype: What trained weights are kept in.
    """

    generation: int = 2
    init_seed: int = 0
    image_size: int | None = None
    vision_width: int = 128
    vision_depth: int = 4
    decoder_width: int = 192
    decoder_depth: int = 4
    dtype: Precision = Precision.fp32
    trainable_dtype: Precision = Precision.fp32

    def __post_init__(self) -> None:
        if self.generation not in (1, 2):
            raise ValueError(f"model.generation must be 1 or 2, got {self.generation}")
        at_least("model.init_seed", self.init_seed, 0)
        for name in ("vision_width", "decoder_width"):
            at_least(f"model.{name}", getattr(self, name), 32)
            if getattr(self, name) % 32:
                raise ValueError(f"model.{name} must be a multiple of 32, got {getattr(self, name)}")
        for name in ("vision_depth", "decoder_depth"):
            at_least(f"model.{name}", getattr(self, name), 1)

    def check(self) -> None:
        """Refuse a resolution that is no whole number of patches."""
        check_image_size(self.image_size, PATCH_SIZE)

    def read_inputs(self) -> ModelInputs:
        """Return the tiny model's form of input."""
        return _inputs_of(Tokenizer.from_folder(TINY_TOKENIZER), self.image_size or TINY_IMAGE_SIZE, PATCH_SIZE)

    def load(self) -> "LoadedModel":
        """Build the model."""
        from finetune.model.tiny import build

        self.check()
        return build(self)


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A checkpoint on the Hugging Face hub, downloaded once (safetensors and JSON only).

    Args:
        repository: Owner and family, such as google/paligemma2-3b.
        variant: Stage and resolution, appended to the repository: pt-224, mix-448, ft-docci-448. None: `repository`
            is the whole name.
        revision: Branch, tag or commit; None: the newest. The commit that was found is recorded with the run.
        image_size: Side of the square image in pixels; None: the checkpoint's.
        dtype: What frozen weights are kept in.
        trainable_dtype: What trained weights are kept in.
    """

    repository: str = "google/paligemma-3b"
    variant: str | None = "pt-224"
    revision: str | None = None
    image_size: int | None = None
    dtype: Precision = Precision.fp32
    trainable_dtype: Precision = Precision.fp32

    @property
    def full_name(self) -> str:
        """The repository's name on the hub."""
        return self.repository if self.variant is None else f"{self.repository}-{self.variant}"

    def check(self) -> None:
        """Refuse names that cannot exist, without asking the hub."""
        if not _REPOSITORY.fullmatch(self.repository):
            raise ValueError(f"model.repository must look like owner/name, got {self.repository!r}")
        if self.variant is not None and not _VARIANT.fullmatch(self.variant):
            raise ValueError(
                f"model.variant must be pt-, mix- or ft-<data set>- followed by 224, 448 or 896, such as pt-224 or "
                f"ft-docci-448; got {self.variant!r}"
            )
        check_image_size(self.image_size, PATCH_SIZE)

    def read_inputs(self) -> ModelInputs:
        """Download the checkpoint's config and tokenizer, not its weights, and return its form of input."""
        from finetune.model.hub import download

        self.check()
        return _read_inputs(download(self.full_name, self.revision, with_weights=False).folder, self.image_size)

    def load(self) -> "LoadedModel":
        """Download the checkpoint if it is not in the cache, and read it."""
        from finetune.model.hub import download

        self.check()
        snapshot = download(self.full_name, self.revision, with_weights=True)
        # Only now: what the hub refuses is said before torch has been waited for.
        from finetune.model.load import Base, load_folder

        base = Base(name=self.full_name, revision=snapshot.commit, folder=snapshot.folder)
        setting = f"model.repository {self.full_name}"
        return load_folder(base, setting=setting, dtype=self.dtype, image_size=self.image_size)


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """A checkpoint in a folder, in Hugging Face layout: the published 2024 key names or the current ones.

    Args:
        path: Holds config.json, tokenizer.json and safetensors, in one file or sharded.
        image_size: Side of the square image in pixels; None: the checkpoint's.
        dtype: What frozen weights are kept in.
        trainable_dtype: What trained weights are kept in.
    """

    path: str
    image_size: int | None = None
    dtype: Precision = Precision.fp32
    trainable_dtype: Precision = Precision.fp32

    def check(self) -> None:
        """Refuse a folder that is not a usable PaliGemma, without reading its weights."""
        facts = inspect_folder(Path(self.path), setting="model.path")
        check_image_size(self.image_size, facts.patch_size)

    def read_inputs(self) -> ModelInputs:
        """Return the checkpoint's form of input, without reading its weights."""
        self.check()
        return _read_inputs(Path(self.path), self.image_size)

    def load(self) -> "LoadedModel":
        """Read the checkpoint."""
        from finetune.model.load import Base, load_folder

        self.check()
        base = Base(name=self.path, revision=None, folder=Path(self.path))
        return load_folder(base, setting="model.path", dtype=self.dtype, image_size=self.image_size)


@dataclass(frozen=True, kw_only=True)
class NpzModel:
    """A checkpoint of the original (big_vision, JAX), whose dimensions are read from its arrays.

    Args:
        path: The .npz file; float32, float16 or bfloat16, names with or without `params/`.
        tokenizer: The file holds none: a folder with tokenizer.json, or a name on the hub, of which the tokenizer alone
            is downloaded. None: tokenizer.json beside the file, else the embedded model's where it has as many ids.
        image_size: Side of the square image in pixels; None: the checkpoint's.
        dtype: What frozen weights are kept in; None: fp32, and the file's own where it is only converted.
        trainable_dtype: What trained weights are kept in.
    """

    path: str
    tokenizer: str | None = None
    image_size: int | None = None
    dtype: Precision | None = None
    trainable_dtype: Precision = Precision.fp32

    @property
    def weights_folder(self) -> Path:
        """Where the file lies, with what is recorded about it."""
        return Path(self.path).parent

    def check(self) -> None:
        """Refuse a file that is no usable PaliGemma by its headers, and a tokenizer that is not its own."""
        checkpoint = self._inspect()
        # Asking the hub is left to the reading of inputs, as with a published checkpoint.
        if self.tokenizer is None or not is_hub_name(self.tokenizer):
            self._find_tokenizer(checkpoint)

    def check_arrays(self) -> None:
        """Refuse a file that is no usable PaliGemma by its headers; a tokenizer may be missing."""
        self._inspect()

    def read_inputs(self) -> ModelInputs:
        """Return the checkpoint's form of input, without reading its weights."""
        checkpoint = self._inspect()
        tokenizer = Tokenizer.from_folder(self._find_tokenizer(checkpoint))
        dimensions = checkpoint.dimensions
        return _inputs_of(tokenizer, self.image_size or dimensions.image_size, dimensions.patch_size)

    def load(self) -> "LoadedModel":
        """Read the checkpoint."""
        checkpoint = self._inspect()
        return self._load(checkpoint, self._find_tokenizer(checkpoint))

    def load_to_rewrite(self) -> "LoadedModel":
        """Read the checkpoint for another .npz, which holds no tokenizer either: without one if none is at hand."""
        checkpoint = self._inspect()
        if self.tokenizer is not None:
            return self._load(checkpoint, self._find_tokenizer(checkpoint))
        size = checkpoint.dimensions.vocabulary_size
        folder = tokenizer_at_hand(Path(self.path), vocabulary_size=size, embedded=TINY_TOKENIZER)
        return self._load(checkpoint, folder)

    def formats_to_keep(self) -> dict[str, Precision]:
        """Return the format of every array of the file, by its name without `params/`; none where `dtype` is said."""
        return {} if self.dtype is not None else self._inspect().formats

    def as_stored(self) -> "NpzModel":
        """Return the same choice with `dtype` the format that holds every bit of the file, unless another is said."""
        if self.dtype is not None:
            return self
        formats = set(self._inspect().formats.values())
        return replace(self, dtype=formats.pop() if len(formats) == 1 else Precision.fp32)

    def _load(self, checkpoint: NpzCheckpoint, folder: Path | None) -> "LoadedModel":
        from finetune.model.load import Base
        from finetune.model.npz import load

        base = Base(name=self.path, revision=None, folder=folder or self.weights_folder)
        tokenizer = None if folder is None else Tokenizer.from_folder(folder)
        return load(base, checkpoint, tokenizer, dtype=self.dtype or Precision.fp32, image_size=self.image_size)

    def _inspect(self) -> NpzCheckpoint:
        checkpoint = inspect_npz(Path(self.path), setting="model.path")
        check_image_size(self.image_size, checkpoint.dimensions.patch_size)
        return checkpoint

    def _find_tokenizer(self, checkpoint: NpzCheckpoint) -> Path:
        size = checkpoint.dimensions.vocabulary_size
        return find_tokenizer(Path(self.path), self.tokenizer, vocabulary_size=size, embedded=TINY_TOKENIZER)


def check_image_size(image_size: int | None, patch_size: int) -> None:
    """Refuse a resolution that is no whole number of patches; None means the checkpoint's and is fine.

    Raises:
        ValueError: Naming the nearest size that would do.
    """
    if image_size is not None and (image_size < patch_size or image_size % patch_size):
        nearest = max(1, round(image_size / patch_size)) * patch_size
        raise ValueError(
            f"model.image_size must be a multiple of the patch size {patch_size}, got {image_size}; {nearest} is near"
        )


def _read_inputs(folder: Path, image_size: int | None) -> ModelInputs:
    facts = read_facts(folder, setting="model")
    return _inputs_of(Tokenizer.from_folder(folder), image_size or facts.image_size, facts.patch_size)


def _inputs_of(tokenizer: Tokenizer, image_size: int, patch_size: int) -> ModelInputs:
    return ModelInputs(tokenizer=tokenizer, image_size=image_size, num_image_tokens=(image_size // patch_size) ** 2)
