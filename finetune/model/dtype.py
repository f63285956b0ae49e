"""From the configuration's word for a floating-point format to torch's."""

import torch

from finetune.settings import Precision

_DTYPES = {Precision.fp32: torch.float32, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


def to_torch_dtype(precision: Precision) -> torch.dtype:
    """Return torch's name of a precision."""
    return _DTYPES[precision]
