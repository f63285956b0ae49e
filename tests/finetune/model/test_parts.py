"""Parts by parameter name, whatever the layout."""

import pytest

from finetune.model.parts import Part, part_of


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.vision_tower.embeddings.patch_embedding.weight", Part.image_encoder),
        ("vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight", Part.image_encoder),
        ("model.multi_modal_projector.linear.bias", Part.connector),
        ("model.language_model.embed_tokens.weight", Part.embeddings),
        ("lm_head.weight", Part.embeddings),
        ("language_model.lm_head.weight", Part.embeddings),
        ("language_model.model.layers.3.self_attn.q_proj.lora_A.default.weight", Part.decoder),
        ("model.language_model.norm.weight", Part.decoder),
    ],
)
def test_every_parameter_of_a_paligemma_belongs_to_one_part(name: str, part: Part) -> None:
    assert part_of(name) is part


def test_a_name_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="belongs to no part"):
        part_of("transformer.h.0.attn.weight")
