"""Scenes become an evenly spaced series: masked medians per month, declared gap fills, counts kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.composites.gaps import fill_gaps
    from cropflow.composites.masking import valid_observations
    from cropflow.composites.median import monthly_median
    from cropflow.composites.periods import Calendar, season_calendar

__all__ = ["Calendar", "fill_gaps", "monthly_median", "season_calendar", "valid_observations"]

__getattr__ = lazy(
    __name__,
    {
        "Calendar": "periods",
        "fill_gaps": "gaps",
        "monthly_median": "median",
        "season_calendar": "periods",
        "valid_observations": "masking",
    },
)
