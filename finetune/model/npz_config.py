"""Between the dimensions of the original's arrays and transformers' configuration."""

from transformers import Gemma2Config, GemmaConfig, PaliGemmaConfig, SiglipVisionConfig

from finetune.model.npz_dimensions import Dimensions
from finetune.tokens.tokenizer import Tokenizer

_ATTENTION_SOFT_CAP = 50.0


def dimensions_of(config: PaliGemmaConfig, *, vocabulary_size: int) -> Dimensions:
    """Return the dimensions of a model in memory.

    Args:
        vocabulary_size: The ids below <image>'s: rows that the original's table has.
    """
    vision, decoder = config.vision_config, config.text_config
    return Dimensions(
        patch_size=vision.patch_size,
        num_image_tokens=(vision.image_size // vision.patch_size) ** 2,
        vision_width=vision.hidden_size,
        vision_depth=vision.num_hidden_layers,
        vision_mlp=vision.intermediate_size,
        vision_heads=vision.num_attention_heads,
        vocabulary_size=vocabulary_size,
        decoder_width=decoder.hidden_size,
        decoder_depth=decoder.num_hidden_layers,
        decoder_mlp=decoder.intermediate_size,
        decoder_heads=decoder.num_attention_heads,
        decoder_key_heads=decoder.num_key_value_heads,
        head_dim=decoder.head_dim,
        generation=1 if decoder.model_type == "gemma" else 2,
        # The only form in which the original looks for them then.
        is_attention_fused=decoder.num_attention_heads == decoder.num_key_value_heads,
    )


def config_of(dimensions: Dimensions) -> PaliGemmaConfig:
    """Return transformers' configuration of a model of these dimensions, as the original trains it."""
    d = dimensions
    special_ids = {"pad_token_id": Tokenizer.pad_id, "bos_token_id": Tokenizer.bos_id, "eos_token_id": Tokenizer.eos_id}
    vision = SiglipVisionConfig(
        hidden_size=d.vision_width,
        intermediate_size=d.vision_mlp,
        num_hidden_layers=d.vision_depth,
        num_attention_heads=d.vision_heads,
        image_size=d.image_size,
        patch_size=d.patch_size,
        vision_use_head=False,
    )
    return PaliGemmaConfig(
        vision_config=vision,
        text_config=_decoder_config(d, special_ids),
        projection_dim=d.decoder_width,
        hidden_size=d.decoder_width,
        vocab_size=d.num_rows,
        image_token_index=d.vocabulary_size,
        **special_ids,
    )


def _decoder_config(d: Dimensions, special_ids: dict[str, int]) -> GemmaConfig | Gemma2Config:
    common = {
        "vocab_size": d.num_rows,
        "hidden_size": d.decoder_width,
        "intermediate_size": d.decoder_mlp,
        "num_hidden_layers": d.decoder_depth,
        "num_attention_heads": 1,
        "num_key_value_heads": d.decoder_key_heads,
        "head_dim": d.head_dim,
        "max_position_embeddings": 8192,
        **special_ids,
    }
    if d.generation == 1:
        config = GemmaConfig(**common)
    else:
        config = Gemma2Config(
            **common,
            query_pre_attn_scalar=d.query_scale_divisor,
            attn_logit_softcapping=_ATTENTION_SOFT_CAP,
            final_logit_softcapping=None,
            layer_types=["full_attention"] * d.decoder_depth,
        )
    # Only now: transformers refuses a width that the heads do not divide, which means nothing where head_dim is given.
    config.num_attention_heads = d.decoder_heads
    return config
