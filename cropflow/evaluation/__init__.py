"""Evaluation: confusion matrices first, every figure derived from them.

``accuracy(confusion)`` scores any matrix, in a notebook too; it needs numpy alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropflow.evaluation.confusion import coarsen, tally
    from cropflow.evaluation.parcels import Ranking, rank_parcels
    from cropflow.evaluation.scores import Scores, accuracy

__all__ = ["Ranking", "Scores", "accuracy", "coarsen", "rank_parcels", "tally"]

_MODULES = {
    "Ranking": "parcels",
    "Scores": "scores",
    "accuracy": "scores",
    "coarsen": "confusion",
    "rank_parcels": "parcels",
    "tally": "confusion",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
