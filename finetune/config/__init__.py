"""Typed settings: the only home of defaults, and the way from YAML to checked values."""
