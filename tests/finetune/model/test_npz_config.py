"""A configuration says the dimensions that it was made of."""

from dataclasses import replace

import pytest

from finetune.model.npz_config import config_of, dimensions_of
from finetune.model.npz_dimensions import Dimensions


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"generation": 1, "decoder_key_heads": 1},
        {"decoder_key_heads": 4, "is_attention_fused": True},
        # transformers refuses it at first, and computes it well.
        {"decoder_heads": 6, "decoder_key_heads": 3},
    ],
)
def test_dimensions_come_back(dimensions: Dimensions, changes: dict[str, int]) -> None:
    changed = replace(dimensions, **changes)
    config = config_of(changed)
    assert dimensions_of(config, vocabulary_size=changed.vocabulary_size) == changed
    assert config.text_config.vocab_size == changed.num_rows
    assert config.image_token_id == changed.vocabulary_size


def test_the_second_generation_has_a_cap_on_attention_and_none_on_logits(dimensions: Dimensions) -> None:
    decoder = config_of(dimensions).text_config
    assert (decoder.attn_logit_softcapping, decoder.final_logit_softcapping) == (50, None)
    assert decoder.query_pre_attn_scalar == dimensions.head_dim
    assert set(decoder.layer_types) == {"full_attention"}
