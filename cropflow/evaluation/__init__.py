"""Evaluation: confusion matrices first, every figure derived from them.

``accuracy(confusion)`` scores any matrix, in a notebook too; it needs numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.evaluation.confusion import coarsen, tally
    from cropflow.evaluation.parcels import Ranking, rank_parcels
    from cropflow.evaluation.scores import Scores, accuracy

__all__ = ["Ranking", "Scores", "accuracy", "coarsen", "rank_parcels", "tally"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Ranking": "parcels",
        "Scores": "scores",
        "accuracy": "scores",
        "coarsen": "confusion",
        "rank_parcels": "parcels",
        "tally": "confusion",
    },
)
