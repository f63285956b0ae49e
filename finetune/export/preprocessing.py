"""How a run made pixels out of images, carried beside the weights so that inference does not do it differently.

An export holds it twice: exactly in finetune_preprocessing.json, which this project reads back, and as the closest
thing that the plain Hugging Face processor can do in preprocessor_config.json, in the published checkpoints' layout.
Imports without torch: a command line that contradicts an export is answered before.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.settings import DataSettings, Resize

if TYPE_CHECKING:
    from finetune.model.load import LoadedModel

FILE_NAME = "finetune_preprocessing.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json")
# PIL's numbers. The original truncates bilinear pixels where PIL rounds them: half a grey level apart on average.
_RESAMPLE = {Resize.hf: 3, Resize.hf_fast: 3, Resize.reference: 2, Resize.reference_rounded: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Everything between an image file and the model's pixels, as the run's settings have it."""

    image_size: int
    resize: Resize
    antialias: bool
    background: int

    @classmethod
    def of_run(cls, image_size: int, data: DataSettings) -> "Preprocessing":
        """Collect what matters from a run's settings."""
        return cls(image_size=image_size, resize=data.resize, antialias=data.antialias, background=data.background)


def write_processor(loaded: "LoadedModel", folder: Path, preprocessing: Preprocessing) -> None:
    """Write both descriptions, and the tokenizer's files if the model has one, into an existing folder."""
    _write_json(folder / FILE_NAME, _as_json(preprocessing))
    _write_json(folder / "preprocessor_config.json", _plain_processor(loaded, preprocessing))
    for name in _TOKENIZER_FILES if loaded.known_tokenizer is not None else ():
        if (loaded.processor_source / name).is_file():
            # The bytes alone: an installed package's files may be read-only.
            shutil.copyfile(loaded.processor_source / name, folder / name)


def read_preprocessing(folder: Path) -> Preprocessing | None:
    """Read what `write_processor` wrote; None for a folder that this project did not export.

    Raises:
        ValueError: If the file is there and is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Preprocessing(**{**content, "resize": Resize[content["resize"]]})
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); export the run again") from None


def check_same_pixels(folder: Path, data: DataSettings) -> None:
    """Refuse to show a model that this project exported other pixels than it was trained on, without a word.

    The resolution may change: model.image_size says so itself.

    Args:
        folder: The model's; any other PaliGemma's is fine.

    Raises:
        ValueError: Naming each setting that differs, with both values.
    """
    trained = read_preprocessing(folder)
    if trained is None:
        return
    here = replace(trained, resize=data.resize, antialias=data.antialias, background=data.background)
    then, now = _as_json(trained), _as_json(here)
    changed = [name for name in then if then[name] != now[name]]
    if changed:
        raise ValueError(
            f"model.path: {folder} was trained with {_settings(then, changed)}, this command has "
            f"{_settings(now, changed)}; add {_settings(then, changed, separator=' ')}, or remove {FILE_NAME} from the "
            "folder to go on with other pixels"
        )


def _settings(values: dict[str, Any], names: list[str], *, separator: str = ", ") -> str:
    return separator.join(f"data.{name}={str(values[name]).lower()}" for name in names)


def _as_json(preprocessing: Preprocessing) -> dict[str, Any]:
    return {**asdict(preprocessing), "resize": preprocessing.resize.name}


def _plain_processor(loaded: "LoadedModel", preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "processor_class": "PaliGemmaProcessor",
        "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": loaded.num_image_tokens,
        "size": {"height": preprocessing.image_size, "width": preprocessing.image_size},
        "do_resize": True,
        "resample": _RESAMPLE[preprocessing.resize],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_convert_rgb": True,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
