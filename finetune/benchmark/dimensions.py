"""Every dimension of the measured models, spelled out: transformers' default PaliGemmaConfig is not the real model."""

from dataclasses import dataclass, replace

from finetune.benchmark.choices import BenchSize

# The rows of the published tables after the last id, of which the image placeholder is the first.
_SPARE_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """A PaliGemma's dimensions.

    Args:
        vision_width, vision_intermediate, vision_layers, vision_heads: SigLIP's.
        width, intermediate, layers, heads, key_heads, head_dim: Gemma's.
        query_scale: What Gemma 2 divides scores by the square root of.
        rows: Rows of the embedding table, which is the output head as well.
    """

    vision_width: int
    vision_intermediate: int
    vision_layers: int
    vision_heads: int
    width: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    head_dim: int
    query_scale: int
    rows: int
    patch_size: int = 14

    @property
    def image_token_id(self) -> int:
        """The placeholder's id; text has the ids below it."""
        return self.rows - _SPARE_ROWS

    @property
    def vision_weights(self) -> int:
        """Weights of SigLIP's layers, biases and norms included."""
        width, intermediate = self.vision_width, self.vision_intermediate
        attention, mlp, norms = 4 * (width + 1) * width, 2 * width * intermediate + width + intermediate, 4 * width
        return self.vision_layers * (attention + mlp + norms)

    @property
    def trunk_weights(self) -> int:
        """Weights of Gemma's matrices, embeddings and head left out."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.key_heads)
        return self.layers * (attention + 3 * self.width * self.intermediate)

    def num_image_tokens(self, image_size: int) -> int:
        """Tokens of one square image."""
        return (image_size // self.patch_size) ** 2


_SIGLIP = {"vision_width": 1152, "vision_intermediate": 4304, "vision_heads": 16}

_REAL = {
    1: Dimensions(
        **_SIGLIP, vision_layers=27, width=2048, intermediate=16384, layers=18, heads=8, key_heads=1, head_dim=256,
        query_scale=256, rows=257_216,
    ),
    2: Dimensions(
        **_SIGLIP, vision_layers=27, width=2304, intermediate=9216, layers=26, heads=8, key_heads=4, head_dim=256,
        query_scale=256, rows=257_216,
    ),
}  # fmt: skip
_REDUCED = {"vision_layers": 4, "width": 512, "intermediate": 4096, "layers": 4, "head_dim": 64, "query_scale": 64}
_TINY = {
    "vision_width": 48, "vision_intermediate": 96, "vision_layers": 2, "vision_heads": 4, "width": 64,
    "intermediate": 128, "layers": 3, "heads": 4, "head_dim": 16, "query_scale": 16, "rows": 1024,
}  # fmt: skip


def dimensions_of(size: BenchSize, generation: int) -> Dimensions:
    """Return the dimensions of a size; the smaller ones keep what tells the generations apart."""
    real = _REAL[generation]
    if size is BenchSize["3b"]:
        return real
    if size is BenchSize["reduced"]:
        return replace(real, **_REDUCED)
    return replace(real, **_TINY, key_heads=1 if generation == 1 else 2)


def smallest_image_size(size: BenchSize) -> int:
    """Return the resolution that a size is measured at unless another is asked for."""
    return 28 if size is BenchSize["tiny"] else 224
