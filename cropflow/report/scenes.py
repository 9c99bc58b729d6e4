"""How many scenes were taken when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas


def scenes_per_period(scenes: pandas.DataFrame, sensor: str, periods: Sequence[str]) -> NDArray[np.float64]:
    """Scenes that were taken in each period, mean over sites.

    Args:
        scenes: Catalogue of a place: ``site``, ``time`` (UTC, ISO 8601), ``kept``; ``sensor`` where it has several.
        sensor: Whose scenes are counted.
        periods: First day of each period, ISO 8601, ascending; a scene belongs to the last one that begins before it.

    Returns:
        Scenes, ``(period,)``.
    """
    # A catalogue that names no sensor is of Sentinel-2.
    own = scenes.get("sensor", "sentinel2") == sensor
    found = np.zeros(len(periods))
    for time in scenes.loc[scenes["kept"] & own, "time"].astype(str):
        # ISO dates sort as text; a time sorts behind its day.
        position = bisect_right(periods, time) - 1
        if position >= 0:
            found[position] += 1
    return found / max(1, scenes["site"].nunique())
