"""That a run's recipes and its weights speak of masks in the same codes. Imports without torch.

A model learns to say sixteen codes for a mask; what shape they stand for only the codec knows that they came from. Two
of them are never mixed: not in the parts of a mixture, not when a run is resumed or used, and not on top of weights
that were taught another one.
"""

import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from finetune.config.schema import RunConfig
from finetune.data.mixture import Mixture
from finetune.model.choices import HubModel, LocalModel, NpzModel, PretrainedTinyModel
from finetune.tokens.codec_record import CodecRecord, UsesCodec, read_record, record_of
from finetune.tokens.mask_codec_file import ORIGINAL, ORIGINAL_SHA256

_ADVICE = "set mask_codec of the recipe, or FINETUNE_MASK_CODEC, to that codec's file"
_PUBLISHER = "google/"


@runtime_checkable
class KnowsItsFolder(Protocol):
    """A choice of model whose weights lie in a folder that is known without loading them."""

    @property
    def weights_folder(self) -> Path:
        """Where `mask_codec.json` lies, if there is one."""
        ...


def codec_in_use(config: RunConfig) -> CodecRecord | None:
    """Return the codec of the run's recipes; None where none of them has masks.

    Raises:
        ValueError: If a codec's file cannot be used, or two parts of a mixture use different ones.
    """
    recipes = {name: recipe for name, recipe in _recipes(config).items() if isinstance(recipe, UsesCodec)}
    if not recipes:
        return None
    (first, record), *others = ((name, record_of(recipe.codec())) for name, recipe in recipes.items())
    for name, other in others:
        if not record.is_same_as(other):
            raise ValueError(
                f"recipe.parts.{first} uses the mask codec {record}, recipe.parts.{name} uses {other}: a model can "
                "learn the codes of one"
            )
    return record


def check_base_codec(config: RunConfig) -> None:
    """Refuse to teach a model the codes of another codec than it knows.

    Raises:
        ValueError: Naming both; or if a codec's file cannot be used, or the parts of a mixture disagree.
    """
    record, known = codec_in_use(config), _recorded_with(config.model)
    if record is not None and known is not None:
        _require_same(known, record, f"{_name_of(config.model)} was")


def warn_of_codec(config: RunConfig) -> None:
    """Say that a published model, which speaks the original's codes, is about to be taught others."""
    record = codec_in_use(config)
    if _is_published(config.model) and record is not None and record.sha256 != ORIGINAL_SHA256:
        print(
            f"warning: {config.model.full_name} speaks the original's mask codes, and this run uses the codec "
            f"{record}: what the model knows of masks is lost; set mask_codec=original of the recipe to keep it",
            file=sys.stderr,
        )


def check_downloaded_codec(config: RunConfig, folder: Path) -> None:
    """Refuse weights from the hub whose folder, known once it was downloaded, names another codec.

    Raises:
        ValueError: As `check_base_codec`.
    """
    record, known = codec_in_use(config), read_record(folder)
    if record is not None and known is not None:
        _require_same(known, record, f"{_name_of(config.model)} was")


def check_run_codec(config: RunConfig, recorded: CodecRecord | None, folder: Path) -> None:
    """Refuse to use or to continue a run with another codec than it was trained with.

    Args:
        recorded: The run's; None where it was taught no masks.

    Raises:
        ValueError: Naming both.
    """
    record = codec_in_use(config)
    if record is not None and recorded is not None:
        _require_same(recorded, record, f"{folder} was")


def codec_of_weights(config: RunConfig, step: int) -> CodecRecord | None:
    """Return the codec that weights speak after `step`: the run's, or else, and before training, its base model's."""
    return (codec_in_use(config) if step else None) or codec_of_base(config.model)


def codec_of_base(model: object) -> CodecRecord | None:
    """Return the codec that a base model speaks; None where nobody wrote it down."""
    if _is_published(model):
        return CodecRecord(name=ORIGINAL, sha256=ORIGINAL_SHA256)
    return _recorded_with(model)


def _require_same(known: CodecRecord, used: CodecRecord, whose: str) -> None:
    if not known.is_same_as(used):
        raise ValueError(
            f"{whose} trained with the mask codec {known}, this command uses {used}, in which its codes stand for "
            f"other shapes; {_ADVICE}"
        )


def _recipes(config: RunConfig) -> dict[str, Any]:
    if isinstance(config.recipe, Mixture):
        return {name: part.recipe for name, part in config.recipe.parts.items()}
    return {"": config.recipe}


def _recorded_with(model: object) -> CodecRecord | None:
    match model:
        case LocalModel():
            return read_record(Path(model.path))
        case KnowsItsFolder():
            return read_record(model.weights_folder)
        case _:
            return None


def _is_published(model: object) -> bool:
    return isinstance(model, HubModel) and model.repository.startswith(_PUBLISHER)


def _name_of(model: object) -> str:
    match model:
        case PretrainedTinyModel():
            return "model=tiny"
        case LocalModel() | NpzModel():
            return f"the base model {model.path}"
        case HubModel():
            return f"the base model {model.full_name}"
        case _:
            return f"the base model {type(model).__name__}"
