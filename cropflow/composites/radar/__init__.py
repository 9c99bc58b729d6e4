"""Composites of Sentinel-1."""
