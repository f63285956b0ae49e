"""README.md of an export: what it is, what it was made from, how, and how well it does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finetune.export.preprocessing import Preprocessing
from finetune.model.load import LoadedModel
from finetune.settings import Resize
from finetune.tokens.codec_record import CodecRecord, write_record


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a card says about the run.

    Args:
        name: The run's name.
        recipe, dataset: What was trained, as the configuration names it.
        settings: The resolved configuration as YAML.
        scores: Metrics on the evaluation split, by name.
        step: Optimizer steps behind the exported weights.
        mask_codec: What the weights' segmentation tokens stand for; None: they were taught none by us.
        num_images: Images of every example; None: as many as its row had.
    """

    name: str
    recipe: str
    dataset: str
    settings: str
    scores: Mapping[str, float]
    step: int
    mask_codec: CodecRecord | None = None
    num_images: int | None = None


THIS_FOLDER = "path/to/this/folder"
_LOAD_ADAPTER = """\
from peft import PeftModel
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

config = AutoConfig.from_pretrained({base!r}{revision})
{settings}base = AutoModelForImageTextToText.from_pretrained({base!r}{revision}, config=config)
model = PeftModel.from_pretrained(base, {folder!r})
processor = AutoProcessor.from_pretrained({folder!r})"""

# A merged folder carries these in its config; the plain base of an adapter does not.
_PALIGEMMA_2_SETTINGS = """\
# As it was trained: no final soft-cap, full attention in every layer.
config.text_config.final_logit_softcapping = None
config.text_config.layer_types = ["full_attention"] * config.text_config.num_hidden_layers
"""

_LOAD_MERGED = """\
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained({folder!r})
processor = AutoProcessor.from_pretrained({folder!r})"""

_GENERATE = """
{images}
inputs = processor(images=images, text={placeholders} + prefix, return_tensors="pt")
inputs.pop("labels", None)
ids = model.generate(**inputs, max_new_tokens=128, do_sample=False)
print(processor.decode(ids[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))"""

_ONE_IMAGE = "images = [image]"
_SO_MANY_IMAGES = "# images: a list of {num_images}, in their order, as every example of the run had."
_ANY_IMAGES = "images = [image]  # and the others of the same example, in their order, where it has several"


def render_card(
    loaded: LoadedModel,
    run: RunFacts,
    preprocessing: Preprocessing,
    *,
    is_adapter: bool,
    base: str | None = None,
    use: str | None = None,
) -> str:
    """Return the card as Markdown with the front matter that the Hugging Face hub reads.

    Args:
        base: Where an adapter's base lies, relative to the card; None: it is known by its own name and commit.
        use: Code that uses the export in the original's own library; None: transformers' and peft's.
    """
    library = "big_vision" if use is not None else "peft" if is_adapter else "transformers"
    code = f"{_loading(loaded, is_adapter, base)}\n{_generating(run.num_images)}" if use is None else use
    sections = [
        _front_matter(loaded, library),
        f"# {run.name}\n",
        _summary(loaded, run, is_adapter),
        f"## Use\n\n```python\n{code}\n```\n",
        f"## Scores\n\n{_score_table(run.scores)}\n",
        f"## Images\n\n{_image_rule(preprocessing)}\n{_number_rule(run.num_images)}\n",
        "## Model\n\n" + "".join(f"- {note}\n" for note in _notes(loaded, run)),
        f"## Settings\n\n```yaml\n{run.settings.rstrip()}\n```\n",
    ]
    return "\n".join(sections)


def write_card(folder: Path, card: str, run: RunFacts) -> None:
    """Write README.md, and which mask codec the weights speak, if any."""
    (folder / "README.md").write_text(card, encoding="utf-8")
    if run.mask_codec is not None:
        write_record(folder, run.mask_codec)


def _front_matter(loaded: LoadedModel, library: str) -> str:
    lines = ["---", f"library_name: {library}", "pipeline_tag: image-text-to-text"]
    # The hub resolves base_model by name; a folder or the embedded model has none there, nor Google's licence.
    if loaded.base_revision is not None:
        lines += [f"base_model: {json.dumps(loaded.base_name)}", "license: gemma"]
    return "\n".join([*lines, "tags: [paligemma]", "---", ""])


def _summary(loaded: LoadedModel, run: RunFacts, is_adapter: bool) -> str:
    kind = "A LoRA adapter for" if is_adapter else "Fine-tuned from" if run.step else "The weights of"
    revision = f" at commit {loaded.base_revision}" if loaded.base_revision else ""
    trained = f"Task: {run.recipe}. Data: {run.dataset}. Optimizer steps: {run.step}."
    if not run.step:
        trained = "As they are without any training here. Optimizer steps: 0."
    return (
        f"{kind} {loaded.base_name}{revision} (PaliGemma {loaded.generation}), {loaded.image_size} pixels.\n{trained}\n"
    )


def _loading(loaded: LoadedModel, is_adapter: bool, base: str | None) -> str:
    revision = f", revision={loaded.base_revision!r}" if loaded.base_revision else ""
    template = _LOAD_ADAPTER if is_adapter else _LOAD_MERGED
    settings = _PALIGEMMA_2_SETTINGS if loaded.generation == 2 else ""
    base = loaded.base_name if base is None else f"{THIS_FOLDER}/{base}"
    return template.format(base=base, revision=revision, settings=settings, folder=THIS_FOLDER)


def _generating(num_images: int | None) -> str:
    """Return code that shows the model as many images as it was trained on."""
    if num_images is None:
        return _GENERATE.format(images=_ANY_IMAGES, placeholders='"<image>" * len(images)')
    if num_images == 1:
        return _GENERATE.format(images=_ONE_IMAGE, placeholders='"<image>"')
    images = _SO_MANY_IMAGES.format(num_images=num_images)
    return _GENERATE.format(images=images, placeholders=f'"<image>" * {num_images}')


def _notes(loaded: LoadedModel, run: RunFacts) -> tuple[str, ...]:
    if run.mask_codec is None:
        return loaded.notes
    told = f"segmentation tokens are codes of the mask codec {run.mask_codec.name}, sha256 {run.mask_codec.sha256}"
    return (*loaded.notes, told)


def _score_table(scores: Mapping[str, float]) -> str:
    if not scores:
        return "Not evaluated."
    rows = [f"| {name} | {value:.4g} |" for name, value in scores.items()]
    return "\n".join(["| metric | value |", "|---|---|", *rows])


def _image_rule(preprocessing: Preprocessing) -> str:
    size = preprocessing.image_size
    if preprocessing.resize in (Resize.hf, Resize.hf_fast):
        backend = "Pillow" if preprocessing.resize is Resize.hf else "torchvision"
        return (
            f"Squashed to {size} x {size} with bicubic filtering, as the processor in this folder does with its "
            f"{backend} backend."
        )
    how = "truncated" if preprocessing.resize is Resize.reference else "rounded"
    return (
        f"Squashed to {size} x {size} with bilinear filtering (antialias: {preprocessing.antialias}) and {how} to "
        "whole grey levels, as the original does.\nThe processor in this folder comes within two grey levels of it; "
        "`finetune_preprocessing.json` says it exactly."
    )


def _number_rule(num_images: int | None) -> str:
    if num_images is None:
        return "An example has as many images as its row; their tokens stand one image after another before the text."
    if num_images == 1:
        return "An example has one image."
    return (
        f"An example has {num_images} images, whose tokens stand one image after another before the text; of more, the "
        "first ones are shown, of fewer, the first ones again."
    )
