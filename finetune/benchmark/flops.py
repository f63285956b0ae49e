"""Useful floating-point operations of a training step: what must be computed, whoever computes it.

Counted are the matrix products of the layers, attention, and the head at the positions that have a target. What a
variant computes beyond that (scores of the whole vocabulary everywhere, layers computed again, frozen gradients) is not
useful, and the products of adapters are too few to count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.benchmark.choices import Method
from finetune.benchmark.dimensions import Dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Of one example, in tokens.

    Args:
        image: Image tokens.
        prefix: Text before the suffix, with BOS and newline.
        suffix: With EOS: the targets.
    """

    image: int
    prefix: int
    suffix: int

    @property
    def total(self) -> int:
        """All tokens."""
        return self.image + self.prefix + self.suffix


def step_flops(dimensions: Dimensions, examples: Sequence[Lengths], method: Method) -> float:
    """Return the useful operations of one step over these examples, forward and backward."""
    return sum(_example_flops(dimensions, lengths, method) for lengths in examples)


def _example_flops(dimensions: Dimensions, lengths: Lengths, method: Method) -> float:
    # A frozen matrix costs one product backwards (for its input), a trained one two; attention always two.
    is_full = method is Method.full
    matrix_passes = 3 if is_full else 2
    vision_passes = 3 if is_full else 1
    trunk = 2.0 * dimensions.trunk_weights * lengths.total
    head = 2.0 * lengths.suffix * dimensions.width * dimensions.rows
    attention = 4.0 * dimensions.layers * _pairs(lengths) * dimensions.heads * dimensions.head_dim
    return (
        matrix_passes * (trunk + head)
        + 3 * attention
        + vision_passes * _vision_forward_flops(dimensions, lengths.image)
    )


def _vision_forward_flops(dimensions: Dimensions, num_tokens: int) -> float:
    matrices = 2.0 * dimensions.vision_weights * num_tokens
    return matrices + 4.0 * dimensions.vision_layers * num_tokens**2 * dimensions.vision_width


def _pairs(lengths: Lengths) -> int:
    """Count who looks at whom: prefix at prefix, suffix at prefix, suffix at itself up to here."""
    seen, suffix = lengths.image + lengths.prefix, lengths.suffix
    return seen**2 + suffix * seen + suffix * (suffix + 1) // 2
