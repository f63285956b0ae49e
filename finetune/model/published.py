"""Which of the published sizes a model has, told by its decoder: a folder of one's own may be called anything."""

# (generation, width, layers) of the decoder.
_SIZES = {
    (1, 2048, 18): "paligemma-3b",
    (2, 2304, 26): "paligemma2-3b",
    (2, 3584, 42): "paligemma2-10b",
    (2, 4608, 46): "paligemma2-28b",
}
_MIX = "-mix-"


def published_name(base_name: str, *, generation: int, width: int, layers: int) -> str | None:
    """Return a model's published name without its resolution, such as "paligemma2-3b"; None for other sizes.

    Args:
        base_name: What the model calls itself: one that was tuned to the mixture of tasks becomes "paligemma-3b-mix".
        width, layers: Of the decoder.

    Source:
        The configurations of Gemma 2B, Gemma 2 2B, 9B and 27B (big_vision models/ppp/gemma.py, 0127fb6).
    """
    name = _SIZES.get((generation, width, layers))
    return f"{name}-mix" if name is not None and _MIX in base_name else name
