"""The masked mean per period, a kernel on integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled
from cropflow.composites.inputs import count_observations, flat_blocks

# Pixels that are summed together: their sums stay in the nearest cache.
SEGMENT = 1024


def monthly_mean(
    reflectance: NDArray[np.uint16], valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Take the mean of the valid observations of each period, per band, halves rounded up.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order; at most 32,768 scenes.
        n_periods: Number of periods in the season.

    Returns:
        The composite, uint16, ``(period, band, y, x)``, 0 where a period has no valid observation; and the number of
        valid observations, uint8, ``(period, y, x)``, at most 255.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    values, marks, scenes, starts = flat_blocks(reflectance, valid, period, n_periods)
    _, n_bands, height, width = reflectance.shape
    composite = np.empty((n_periods, n_bands, height * width), dtype=np.uint16)
    _mean(values, marks.view(np.uint8), scenes, starts, composite)
    return composite.reshape(n_periods, n_bands, height, width), count_observations(valid, period, n_periods)


@compiled
def _count(count: NDArray[np.uint32], valid: NDArray[np.uint8]) -> None:
    for x in range(count.size):
        count[x] += valid[x]


@compiled
def _add(total: NDArray[np.uint32], values: NDArray[np.uint16], valid: NDArray[np.uint8]) -> None:
    for x in range(total.size):
        total[x] += values[x] * np.uint32(valid[x])


@compiled
def _divide(out: NDArray[np.uint16], total: NDArray[np.uint32], count: NDArray[np.uint32]) -> None:
    """Halves up; exact, since a quotient that is no whole number lies farther from one than a float64 errs."""
    for x in range(out.size):
        n = np.float64(max(count[x], 1))
        out[x] = np.uint16((2.0 * total[x] + n) / (2.0 * n)) if count[x] > 0 else np.uint16(0)


@compiled
def _mean(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.uint8],
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    composite: NDArray[np.uint16],
) -> None:
    n_periods, n_bands, pixels = composite.shape
    total = np.empty(SEGMENT, dtype=np.uint32)
    count = np.empty(SEGMENT, dtype=np.uint32)
    for left in range(0, pixels, SEGMENT):
        right = min(left + SEGMENT, pixels)
        n = right - left
        for p in range(n_periods):
            count[:n] = 0
            for k in range(starts[p], starts[p + 1]):
                _count(count[:n], valid[scenes[k], left:right])
            for band in range(n_bands):
                total[:n] = 0
                for k in range(starts[p], starts[p + 1]):
                    scene = scenes[k]
                    _add(total[:n], reflectance[scene, band, left:right], valid[scene, left:right])
                _divide(composite[p, band, left:right], total[:n], count[:n])
