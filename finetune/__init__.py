"""Fine-tune PaliGemma 1 and 2, exactly as the original does. See README.md."""

__version__ = "0.1.0"
