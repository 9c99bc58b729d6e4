"""Composites that Earth Engine computes."""
