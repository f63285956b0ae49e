"""A checkpoint's arrays out of the model that was read from it: what `finetune export format=npz` writes."""

import numpy as np
from torch import nn

from finetune.model.npz import array_blocks, parameters_by_name
from finetune.model.npz_checkpoint import NpzCheckpoint
from finetune.model.npz_layout import array_rules
from finetune.verification.comparison import Comparison


def compare_written(model: nn.Module, checkpoint: NpzCheckpoint) -> Comparison:
    """Compare every array, in the file's own format, bit by bit; beside the model, memory holds one array at most."""
    parameters = parameters_by_name(model)
    differing = {}
    for rule in array_rules(checkpoint.dimensions):
        theirs = checkpoint.file.blocks(rule.array, 1 if rule.is_stacked else None)
        ours = array_blocks(rule, parameters.__getitem__, checkpoint.formats[rule.array])
        differing[rule.array] = sum(_num_differing(*blocks) for blocks in zip(ours, theirs, strict=True))
    wrong = [name for name, number in differing.items() if number]
    formats = ", ".join(sorted({dtype.name for dtype in checkpoint.formats.values()}))
    return Comparison(
        quantity="written back",
        measure="differing values",
        found=float(sum(differing.values())),
        tolerance=0,
        detail=f"first: {wrong[0]}" if wrong else f"all {len(differing)} arrays, bit by bit, in {formats}",
    )


def _num_differing(ours: np.ndarray, theirs: np.ndarray) -> int:
    bits = np.dtype(f"u{theirs.dtype.itemsize}")
    return int((np.ascontiguousarray(ours).view(bits) != np.ascontiguousarray(theirs).view(bits)).sum())
