"""How much memory a training step takes, known before a weight is loaded."""
