"""Observations of a second rank count only where a period has none of the first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled


def tier(
    valid: NDArray[np.bool_], hazy: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Leave hazy observations out wherever the same period has a better one of the same pixel.

    Args:
        valid: True where usable, hazy or not, bool, ``(scene, y, x)``.
        hazy: True where only class 7 makes it usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.

    Returns:
        Which observations count, bool, ``(scene, y, x)``; and where a period rests on hazy ones alone, bool,
        ``(period, y, x)``.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    period = np.asarray(period)
    if valid.ndim != 3 or valid.dtype != np.bool_ or hazy.shape != valid.shape or hazy.dtype != np.bool_:
        raise ValueError(
            f"valid is {valid.dtype} {valid.shape}, hazy {hazy.dtype} {hazy.shape}; expected bool (scene, y, x)"
        )
    if period.shape != valid.shape[:1]:
        raise ValueError(f"period has the shape {period.shape}; expected {valid.shape[:1]}")
    if period.size and (period.min() < 0 or period.max() >= n_periods):
        raise ValueError(f"periods run from {period.min()} to {period.max()}; expected 0 to {n_periods - 1}")
    counted = np.array(valid, order="C")
    flagged = np.zeros((n_periods, *valid.shape[1:]), dtype=np.bool_)
    _tier(counted.view(np.uint8), np.ascontiguousarray(hazy).view(np.uint8), period, flagged.view(np.uint8))
    return counted, flagged


@compiled
def _add_clear(clear: NDArray[np.uint8], valid: NDArray[np.uint8], hazy: NDArray[np.uint8]) -> None:
    for x in range(clear.size):
        clear[x] |= valid[x] & (hazy[x] ^ 1)


@compiled
def _leave_out(
    valid: NDArray[np.uint8], hazy: NDArray[np.uint8], clear: NDArray[np.uint8], flagged: NDArray[np.uint8]
) -> None:
    for x in range(valid.size):
        valid[x] &= (hazy[x] & clear[x]) ^ 1
        flagged[x] |= valid[x] & hazy[x]


@compiled
def _tier(
    valid: NDArray[np.uint8], hazy: NDArray[np.uint8], period: NDArray[np.int64], flagged: NDArray[np.uint8]
) -> None:
    n_scenes, height, width = valid.shape
    # Whether the periods have a clear observation, row by row.
    clear = np.empty((flagged.shape[0], width), dtype=np.uint8)
    for y in range(height):
        clear[:] = 0
        for scene in range(n_scenes):
            _add_clear(clear[period[scene]], valid[scene, y], hazy[scene, y])
        for scene in range(n_scenes):
            _leave_out(valid[scene, y], hazy[scene, y], clear[period[scene]], flagged[period[scene], y])
