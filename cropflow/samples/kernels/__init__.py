"""Compiled loops of the samples room."""
