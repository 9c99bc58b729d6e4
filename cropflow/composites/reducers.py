"""From the valid observations of a block to one composite per period: the statistic that the series asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.mean import monthly_mean
from cropflow.composites.median import monthly_median
from cropflow.composites.selection import darken_pairs, max_ndvi, medoid
from cropflow.config.imagery import Series
from cropflow.errors import CropflowError, listing


def check_bands(series: Series, bands: Sequence[str], where: str) -> None:
    """Refuse scenes without a band that the settings look at: statistic, pairs, shadows or indices.

    Args:
        series: The settings.
        bands: Bands of the scenes.
        where: What holds them, for the message.

    Raises:
        CropflowError: If one is missing.
    """
    for option, needed in series.needed_bands().items():
        missing = [band for band in needed if band not in bands]
        if missing:
            raise CropflowError(
                f"series.<name>.{option} needs {listing(needed)}; {where} has {listing(bands)}. Add {listing(missing)} "
                "to imagery.<name>.bands, or choose otherwise."
            )


def plain_median(series: Series) -> bool:
    """Whether the statistic is the median, and nothing else is asked of pairs."""
    return series.statistic == "median" and series.pair == "mean"


def reduce_scenes(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    period: NDArray[np.int64],
    n_periods: int,
    series: Series,
    bands: Sequence[str],
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Summarise the valid observations of each period.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``; 0 = nodata.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period of each scene, int, ``(scene,)``, in any order.
        n_periods: Number of periods.
        series: ``statistic`` and ``pair``.
        bands: Names of the bands; :func:`check_bands` was asked.

    Returns:
        The composite, uint16, ``(period, band, y, x)``, 0 where a period has no valid observation; and the number of
        valid observations, uint8, ``(period, y, x)``, at most 255.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    if series.statistic == "mean":
        return monthly_mean(reflectance, valid, period, n_periods)
    if series.statistic == "medoid":
        return medoid(reflectance, valid, period, n_periods)
    if series.statistic == "max_ndvi":
        return max_ndvi(reflectance, valid, period, n_periods, bands.index("B04"), bands.index("B08"))
    composite, observations = monthly_median(reflectance, valid, period, n_periods)
    if series.pair == "darker":
        darken_pairs(composite, observations, reflectance, valid, period, bands.index("B02"))
    return composite, observations
