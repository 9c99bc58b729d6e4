"""Sentinel-1: records, pixels and the store of its scenes."""
