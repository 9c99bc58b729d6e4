"""Checkpoints of published networks, one module per family."""
