"""The parts of a PaliGemma, named the same whatever the key layout of the checkpoint or of transformers."""

from enum import Enum


class Part(Enum):
    """One part of the model; every parameter belongs to exactly one."""

    image_encoder = "image_encoder"
    connector = "connector"
    embeddings = "embeddings"
    decoder = "decoder"


def part_of(parameter_name: str) -> Part:
    """Return the part that a parameter belongs to, by its name in `named_parameters()`, adapters included.

    The tied output head counts as embeddings.

    Raises:
        ValueError: If the name belongs to no part of a PaliGemma.
    """
    if "vision_tower." in parameter_name:
        return Part.image_encoder
    if "multi_modal_projector." in parameter_name:
        return Part.connector
    if "embed_tokens." in parameter_name or "lm_head." in parameter_name:
        return Part.embeddings
    if "language_model." in parameter_name:
        return Part.decoder
    raise ValueError(f"parameter {parameter_name!r} belongs to no part of a PaliGemma")
