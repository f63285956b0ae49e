"""A checkpoint's folder into a model that is ready to train: resolution, soft-caps and windows settled, and said."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from finetune.model.dtype import to_torch_dtype
from finetune.model.folder import FolderFacts, inspect_folder
from finetune.model.position import resize_position_embedding
from finetune.settings import Precision
from finetune.tokens.tokenizer import Tokenizer
from finetune.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Where weights come from: the folder on disk, and what a person would look it up by.

    Args:
        name, revision: A hub name and commit, a folder, or "tiny".
        folder: Holds the tokenizer's files, and the weights where there are any.
    """

    name: str
    revision: str | None
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model with what the rest of the project needs to know about it.

    Args:
        image_size, patch_size: In pixels; images are square.
        base_image_size: The resolution of the checkpoint; `image_size` differs where the run asked for another.
        num_image_tokens: Image tokens of one image.
        generation: 1 or 2, for PaliGemma 1 or 2.
        base_name, base_revision: Where the weights come from: a hub name and commit, a folder, or "tiny".
        notes: What was changed while loading and what is in force, one sentence each, for people.
        processor_source: Folder with the tokenizer's files, from which an export writes its processor.
        known_tokenizer: None for an .npz that is only written in another form.
    """

    model: PaliGemmaForConditionalGeneration
    known_tokenizer: Tokenizer | None
    image_size: int
    base_image_size: int
    patch_size: int
    num_image_tokens: int
    generation: int
    base_name: str
    base_revision: str | None
    notes: tuple[str, ...]
    processor_source: Path

    @property
    def tokenizer(self) -> Tokenizer:
        """What everything that reads or says text needs."""
        assert self.known_tokenizer is not None, "a model without a tokenizer was checked for what needs none"
        return self.known_tokenizer


def load_folder(base: Base, *, setting: str, dtype: Precision, image_size: int | None) -> LoadedModel:
    """Read a folder in Hugging Face layout; the key names of 2024 and today's are both understood.

    Args:
        setting: What messages call the folder, such as "model.path".
        image_size: Another resolution than the checkpoint's, a multiple of its patch size; None keeps it.

    Raises:
        ValueError: If the folder is not a usable PaliGemma, or its weights do not fit its config key by key.
    """
    facts = inspect_folder(base.folder, setting=setting)
    tokenizer = Tokenizer.from_folder(base.folder)
    config = PaliGemmaConfig.from_pretrained(base.folder, local_files_only=True)
    notes = prepare_config(config)
    model = _read_weights(base.folder, config, dtype, setting)
    if image_size is not None and image_size != facts.image_size:
        notes = (*notes, resize_position_embedding(model, image_size))
    return finish(model, tokenizer, base=base, facts=facts, notes=notes)


def prepare_config(config: PaliGemmaConfig) -> tuple[str, ...]:
    """Make a config compute what the original computes in training; return what was changed and what is in force.

    PaliGemma 2 trains without the final logit soft-cap and with full attention in every layer, where the published
    configs name a cap of 30 and, in every other layer, a window of 4096 tokens.

    Source:
        big_vision configs/proj/paligemma/transfers/forkme.py and models/ppp/gemma.py (0127fb6).
    """
    decoder = config.text_config
    if decoder.model_type == "gemma":
        return ("no soft-caps; full attention in every layer",)
    notes = [f"attention soft-cap {decoder.attn_logit_softcapping}, query scale {decoder.query_pre_attn_scalar}^-1/2"]
    if decoder.final_logit_softcapping is not None:
        notes.append(f"final logit soft-cap {decoder.final_logit_softcapping} switched off, as the original trains")
    else:
        notes.append("no final logit soft-cap")
    num_windowed = sum(kind != "full_attention" for kind in decoder.layer_types)
    if num_windowed:
        notes.append(
            f"full attention in every layer ({num_windowed} of {decoder.num_hidden_layers} had a window of "
            f"{decoder.sliding_window} tokens)"
        )
    else:
        notes.append("full attention in every layer")
    decoder.final_logit_softcapping = None
    decoder.layer_types = ["full_attention"] * decoder.num_hidden_layers
    return tuple(notes)


def finish(
    model: PaliGemmaForConditionalGeneration,
    tokenizer: Tokenizer | None,
    *,
    base: Base,
    facts: FolderFacts,
    notes: tuple[str, ...],
) -> LoadedModel:
    """Check that model and tokenizer, if there is one, belong together, and put them into one value.

    Raises:
        ValueError: If the tokenizer's image token is not the one that the model's config names.
    """
    if tokenizer is not None and model.config.image_token_id != tokenizer.image_token_id:
        raise ValueError(
            f"{base.folder}: config.json says image_token_index {model.config.image_token_id}, "
            f"tokenizer.json gives <image> the id {tokenizer.image_token_id}; they come from different models"
        )
    vision = model.config.vision_config
    model.requires_grad_(False)
    model.eval()
    return LoadedModel(
        model=model,
        known_tokenizer=tokenizer,
        image_size=vision.image_size,
        base_image_size=facts.image_size,
        patch_size=vision.patch_size,
        num_image_tokens=(vision.image_size // vision.patch_size) ** 2,
        generation=facts.generation,
        base_name=base.name,
        base_revision=base.revision,
        notes=notes,
        processor_source=base.folder,
    )


def _read_weights(
    folder: Path, config: PaliGemmaConfig, dtype: Precision, setting: str
) -> PaliGemmaForConditionalGeneration:
    try:
        model, report = PaliGemmaForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=to_torch_dtype(dtype),
            use_safetensors=True,
            local_files_only=True,
            # Wrong shapes are refused below, by name, instead of deep inside transformers.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except SafetensorError as error:
        raise ValueError(
            f"{setting}: {folder}: the weights are no safetensors ({error}); download them again"
        ) from None
    problems = {
        "missing from the weights": report["missing_keys"],
        "not part of a PaliGemma of this config": report["unexpected_keys"],
        "of another shape than the config says": report["mismatched_keys"],
    }
    for problem, keys in problems.items():
        if keys:
            names = sorted(key if isinstance(key, str) else str(key[0]) for key in keys)
            verb = "is" if len(names) == 1 else "are"
            told = f"{counted(len(names), 'tensor')} {verb} {problem}: {', '.join(names[:3])}"
            raise ValueError(f"{setting}: {folder}: {told}")
    loaded: PaliGemmaForConditionalGeneration = model
    # transformers leaves them apart, with a warning, where a file holds both and they differ.
    if loaded.lm_head.weight is not loaded.get_input_embeddings().weight:
        raise ValueError(f"{setting}: {folder}: the output head differs from the embeddings; a PaliGemma ties them")
    return loaded
