"""Scenes become an evenly spaced series: one masked statistic per month, declared gap fills, counts kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.composites.gaps import fill_gaps
    from cropflow.composites.masking import valid_observations
    from cropflow.composites.mean import monthly_mean
    from cropflow.composites.median import masked_median, monthly_median
    from cropflow.composites.periods import Calendar, season_calendar
    from cropflow.composites.selection import darken_pairs, max_ndvi, medoid

__all__ = [
    "Calendar",
    "darken_pairs",
    "fill_gaps",
    "masked_median",
    "max_ndvi",
    "medoid",
    "monthly_mean",
    "monthly_median",
    "season_calendar",
    "valid_observations",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Calendar": "periods",
        "darken_pairs": "selection",
        "fill_gaps": "gaps",
        "masked_median": "median",
        "max_ndvi": "selection",
        "medoid": "selection",
        "monthly_mean": "mean",
        "monthly_median": "median",
        "season_calendar": "periods",
        "valid_observations": "masking",
    },
)
