"""Scenes of STAC services."""
