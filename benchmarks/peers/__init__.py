"""The published layers, written plainly: what the networks are measured against."""
