"""A tiny model from random weights: transformers' own PaliGemma classes with dimensions that two CPU cores can train.

Two tables start with what they are to mean, so that a short training finds objects at all: positions of patches, and
location tokens, whose neighbours start as neighbours.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    Gemma2Config,
    GemmaConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    SiglipVisionConfig,
)

from finetune.model.choices import PATCH_SIZE, TINY_IMAGE_SIZE, TINY_TOKENIZER, TinyModel
from finetune.model.dtype import to_torch_dtype
from finetune.model.folder import FolderFacts
from finetune.model.load import Base, LoadedModel, finish, prepare_config
from finetune.tokens.location import NUM_BINS
from finetune.tokens.tokenizer import Tokenizer

_HEAD_DIM = 64
_NUM_VISION_HEADS = 4
_NUM_DECODER_HEADS = 4
# The real tables have 64 rows after the last id; ours is padded to a multiple of 64 for the same reason.
_ROW_MULTIPLE = 64
# Wavelengths, geometric from the longest to the shortest: in patches for positions, in bins for location tokens.
_PATCH_WAVES = (630.0, 6.3)
_BIN_WAVES = (2048.0, 16.0)
_POSITION_AMPLITUDE = 0.5


def build(choice: TinyModel) -> LoadedModel:
    """Initialise the model that `choice` describes, without touching the global random state."""
    tokenizer = Tokenizer.from_folder(TINY_TOKENIZER)
    config = tiny_config(choice)
    image_size = config.vision_config.image_size
    notes = prepare_config(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(choice.init_seed)
        model = PaliGemmaForConditionalGeneration(config)
    _order_positions(model)
    _order_locations(model, tokenizer)
    return finish(
        model.to(to_torch_dtype(choice.dtype)),
        tokenizer,
        base=Base(name="tiny_random" if choice.generation == 2 else "tiny1", revision=None, folder=TINY_TOKENIZER),
        facts=FolderFacts(image_size=image_size, patch_size=PATCH_SIZE, generation=choice.generation),
        notes=(f"initialised at random from seed {choice.init_seed}", *notes),
    )


def tiny_config(choice: TinyModel) -> PaliGemmaConfig:
    """Return the dimensions of the model that `choice` describes."""
    tokenizer = Tokenizer.from_folder(TINY_TOKENIZER)
    image_size = TINY_IMAGE_SIZE if choice.image_size is None else choice.image_size
    num_rows = -(-(tokenizer.image_token_id + 1) // _ROW_MULTIPLE) * _ROW_MULTIPLE
    special_ids = {
        "pad_token_id": tokenizer.pad_id,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
    }
    return PaliGemmaConfig(
        vision_config=_vision_config(choice, image_size),
        text_config=_decoder_config(choice, num_rows, special_ids),
        projection_dim=choice.decoder_width,
        hidden_size=choice.decoder_width,
        vocab_size=num_rows,
        image_token_index=tokenizer.image_token_id,
        **special_ids,
    )


def _vision_config(choice: TinyModel, image_size: int) -> SiglipVisionConfig:
    return SiglipVisionConfig(
        hidden_size=choice.vision_width,
        intermediate_size=4 * choice.vision_width,
        num_hidden_layers=choice.vision_depth,
        num_attention_heads=_NUM_VISION_HEADS,
        image_size=image_size,
        patch_size=PATCH_SIZE,
        vision_use_head=False,
    )


def _decoder_config(choice: TinyModel, num_rows: int, special_ids: dict[str, int]) -> GemmaConfig | Gemma2Config:
    common = {
        "vocab_size": num_rows,
        "hidden_size": choice.decoder_width,
        "intermediate_size": 4 * choice.decoder_width,
        "num_hidden_layers": choice.decoder_depth,
        "num_attention_heads": _NUM_DECODER_HEADS,
        "head_dim": _HEAD_DIM,
        "max_position_embeddings": 8192,
        **special_ids,
    }
    if choice.generation == 1:
        return GemmaConfig(**common, num_key_value_heads=1)
    return Gemma2Config(**common, num_key_value_heads=2, query_pre_attn_scalar=_HEAD_DIM)


@torch.no_grad()
def _order_positions(model: PaliGemmaForConditionalGeneration) -> None:
    """Start each patch's embedding as waves of its row and its column."""
    table = model.model.vision_tower.embeddings.position_embedding.weight
    places = torch.arange(len(table))
    side = math.isqrt(len(table))
    rows, columns = (_waves(place, table.shape[1] // 2, *_PATCH_WAVES) for place in (places // side, places % side))
    table.copy_(_POSITION_AMPLITUDE * torch.cat((rows, columns), dim=1))


@torch.no_grad()
def _order_locations(model: PaliGemmaForConditionalGeneration, tokenizer: Tokenizer) -> None:
    """Start each location token's embedding as waves of its bin, as large as random ones and a little random."""
    table = model.get_input_embeddings().weight
    (first,) = tokenizer.encode("<loc0000>")
    found = table[first : first + NUM_BINS]
    spread = model.config.text_config.initializer_range * math.sqrt(2)
    ordered = spread * _waves(torch.arange(NUM_BINS), table.shape[1], *_BIN_WAVES)
    found.copy_(0.9 * ordered + 0.1 * found)


def _waves(places: Tensor, width: int, longest: float, shortest: float) -> Float[Tensor, "places width"]:
    """Return sines, then cosines, of `width / 2` wavelengths; rows of near places are near each other."""
    steps = torch.arange(width // 2) / max(1, width // 2 - 1)
    wavelengths = longest * (shortest / longest) ** steps
    angles = 2 * math.pi * places[:, None] / wavelengths
    return torch.cat((angles.sin(), angles.cos()), dim=1)
