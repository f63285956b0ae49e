"""Whether a model draws at random while it trains."""

from torch import nn


def has_dropout(model: nn.Module) -> bool:
    """Whether any module drops numbers in training, as adapters can."""
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
