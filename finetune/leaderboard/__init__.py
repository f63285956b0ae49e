"""Runs beside the figures that the authors of PaliGemma reached on the same tasks."""
