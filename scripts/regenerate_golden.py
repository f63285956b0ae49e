"""Write tests/golden/transfers/<experiment>.json anew: what each transfer resolves to, to be reviewed as a diff.

    python scripts/regenerate_golden.py [experiment ...]

A file holds every setting that decides what is learnt and how it is scored, and at each further resolution what differs
from the first; and of the first three samples of the test asset the images that are shown, the prefix, the suffix, and
every token with its mask: "." where attention is full and no loss falls, "s" where attention is causal and loss falls.
The tokens are the tiny model's.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module

from finetune.assemble import open_ingredients
from finetune.config.parse import parse
from finetune.config.plain import plain
from finetune.config.register import register
from finetune.config.schema import RunConfig
from finetune.data.encode import SampleEncoder
from finetune.data.order import rng_for
from finetune.model.choices import PretrainedTinyModel
from finetune.names import dotted_names
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import TokenizedExample

REPOSITORY = Path(__file__).resolve().parent.parent
GOLDEN = REPOSITORY / "tests" / "golden" / "transfers"
ASSETS = REPOSITORY / "tests" / "assets" / "published"
EXPERIMENTS = REPOSITORY / "conf" / "experiment"
# Experiments over data sets of one's own and over rendered scenes are no transfers.
_OTHER_DATASETS = ("voc", "scenes")
_SIDES = (224, 448, 896)
_NUM_SAMPLES = 3
_LIST, _BREAK = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]"), re.compile(r"\n\s*")
_SECTIONS = (
    *("model", "peft", "dataset", "recipe", "optimizer", "schedule", "freeze", "learning_rates", "data", "training"),
    *("evaluation", "checkpoint"),
)
# The user's folder, and what the resolution is called by.
_LEFT_OUT = ("dataset.root", "model.variant")


def transfers() -> dict[str, str]:
    """Return every transfer's experiment with its data set's choice."""
    chosen = {path.stem: _dataset_of(path) for path in sorted(EXPERIMENTS.glob("*.yaml"))}
    return {name: dataset for name, dataset in chosen.items() if dataset not in _OTHER_DATASETS}


def golden(name: str, dataset: str) -> dict[str, Any]:
    """Return the content of one experiment's file."""
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        sides = {side: settings for side in _SIDES if (settings := _settings_at(name, side)) is not None}
        tiny = parse(compose("train", [f"experiment={name}", "model=tiny", f"dataset.root={ASSETS / dataset}"]))
    first_side, first = next(iter(sides.items()))
    settings = {str(first_side): first}
    settings |= {str(side): _difference(other, first) for side, other in sides.items() if side != first_side}
    return {"settings": settings, "samples": _samples(tiny)}


def text_of(content: dict[str, Any]) -> str:
    """Return the file's text: one setting a line, one list a line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return _LIST.sub(lambda found: f"[{_BREAK.sub(' ', found[1])}]", text) + "\n"


def _settings_at(name: str, side: int) -> dict[str, Any] | None:
    """Return all settings at a resolution; None where the paper has none."""
    try:
        return _flat(parse(compose("train", [f"experiment={name}", f"model.variant=pt-{side}", "dataset.root=given"])))
    except ValueError as error:
        if "the paper has no value" in str(error):
            return None
        raise


def _flat(config: RunConfig) -> dict[str, Any]:
    settings = plain(config)
    names = dotted_names(settings)
    leaves = [name for name in names if not any(other.startswith(f"{name}.") for other in names)]
    wanted = [name for name in leaves if name.partition(".")[0] in _SECTIONS and name not in _LEFT_OUT]
    return {name: _at(settings, name) for name in wanted}


def _at(settings: Any, name: str) -> Any:
    for part in name.split("."):
        settings = settings[part]
    return settings


def _difference(settings: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if base.get(name) != value}


def _samples(config: RunConfig) -> list[dict[str, Any]]:
    inputs = PretrainedTinyModel().read_inputs()
    encoder = SampleEncoder(
        tokenizer=inputs.tokenizer,
        image_size=inputs.image_size,
        num_image_tokens=inputs.num_image_tokens,
        data=config.data,
    )
    (ingredient,) = open_ingredients(config, lambda dataset: dataset.train_split)
    samples = [ingredient.source[index] for index in range(min(_NUM_SAMPLES, len(ingredient.source)))]
    encoded = [encoder.encode(one, ingredient.recipe, rng_for(config.seed, 0, one.sample_id)) for one in samples]
    return [
        {
            "sample_id": one.sample.sample_id,
            "images": [image.name for image in one.example.images],
            "prefix": one.example.prefix,
            "suffix": one.example.suffix,
            **_masked(one.tokenized, inputs.tokenizer),
        }
        for one in encoded
    ]


def _masked(tokenized: TokenizedExample, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the text's tokens, each with its mark, after the images'."""
    start = tokenized.num_image_tokens
    ids, marks = tokenized.input_ids[start:].tolist(), tokenized.is_suffix[start:].tolist()
    return {
        "tokens": [tokenizer.piece(index) for index in ids],
        "mask": "".join("s" if mark else "." for mark in marks),
    }


def _dataset_of(path: Path) -> str:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "override /dataset:" in line]
    return lines[0].rpartition(":")[2].strip() if lines else "scenes"


def main() -> None:
    """Write the files of the named experiments, or of all."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    for name, dataset in transfers().items():
        if not wanted or name in wanted:
            path = GOLDEN / f"{name}.json"
            path.write_text(text_of(golden(name, dataset)), encoding="utf-8")
            print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
