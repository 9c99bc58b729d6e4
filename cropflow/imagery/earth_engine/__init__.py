"""Scenes of Google Earth Engine."""
