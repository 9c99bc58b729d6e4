"""The gap rules for backscatter: as for reflectance, but means are those of linear power."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.radar import NODATA, power_table


def fill_power(
    composite: NDArray[np.int16],
    observations: NDArray[np.uint8],
    max_gap: int,
    rule: Literal["neighbours", "linear", "none"],
    middles: NDArray[np.float64],
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Fill missing periods from the nearest valid period before and after, in linear power.

    Periods before the first valid one take its value, periods after the last valid one take that one's. A run of
    missing periods longer than ``max_gap``, at the edges too, stays nodata.

    Args:
        composite: dB x 100, int16, ``(period, band, y, x)``; -32768 = nodata.
        observations: Valid observations, uint8, ``(period, y, x)``; a period is missing where it is 0.
        max_gap: Longest run of missing periods that is filled.
        rule: ``neighbours``: their plain mean; ``linear``: weighted by the distance in time; ``none``: no filling.
        middles: Middle of each period, days, float64, ``(period,)``.

    Returns:
        A filled copy, dB x 100, int16, ``(period, band, y, x)``; and where a value was written although the period has
        no valid observation, bool, ``(period, y, x)``.
    """
    n_periods = len(composite)
    seen = observations > 0
    filled = np.zeros(observations.shape, dtype=np.bool_)
    out = composite.copy()
    if rule == "none" or max_gap == 0 or seen.all():
        return out, filled
    place = np.arange(n_periods)[:, np.newaxis, np.newaxis]
    before = np.maximum.accumulate(np.where(seen, place, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, place, n_periods)[::-1], axis=0)[::-1]
    run = after - before - 1
    filled = ~seen & (run <= max_gap) & (run < n_periods)
    # At an edge the only neighbour stands for both; where neither is there, nothing is filled.
    first = np.clip(np.where(before < 0, after, before), 0, n_periods - 1)
    second = np.clip(np.where(after == n_periods, before, after), 0, n_periods - 1)
    table = power_table()
    for period in np.flatnonzero(filled.any(axis=(1, 2))):
        here = filled[period]
        one, other = first[period][here], second[period][here]
        span = middles[other] - middles[one]
        share = np.where(span > 0, (middles[period] - middles[one]) / np.where(span > 0, span, 1), 0.5)
        weight = share if rule == "linear" else 0.5
        rows, columns = np.nonzero(here)
        for band in range(composite.shape[1]):
            low = table[composite[one, band, rows, columns].astype(np.int64) + 32768].astype(np.float64)
            high = table[composite[other, band, rows, columns].astype(np.int64) + 32768].astype(np.float64)
            mean = low + (high - low) * weight
            out[period, band, rows, columns] = np.floor(1000 * np.log10(mean) + 0.5).astype(np.int16)
    return out, filled


def month_middles(months: Sequence[datetime.date]) -> NDArray[np.float64]:
    """Middle of each calendar month in days since 1 January of the year 1, float64, ``(period,)``.

    Args:
        months: First day of each month.
    """
    following = [(month + datetime.timedelta(days=32)).replace(day=1) for month in months]
    return np.array([(a.toordinal() + b.toordinal()) / 2 for a, b in zip(months, following, strict=True)])


def difference(composite: NDArray[np.int16]) -> NDArray[np.int16]:
    """VH-VV of pairs of bands, the logarithm of their ratio.

    Args:
        composite: dB x 100, int16, ``(period, 2, y, x)``, VV and VH; -32768 = nodata.

    Returns:
        dB x 100, int16, ``(period, 1, y, x)``; -32768 = nodata.
    """
    vv, vh = composite[:, :1].astype(np.int32), composite[:, 1:2].astype(np.int32)
    valid = (vv != NODATA) & (vh != NODATA)
    return np.where(valid, vh - vv, NODATA).astype(np.int16)
