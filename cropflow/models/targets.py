"""Targets that are no class, known without torch."""

from __future__ import annotations

# Not to be counted: rims, padding, other folds.
IGNORED = -1
# Not known by anybody.
UNKNOWN = -2
