"""The masked median per period, a kernel on integers.

The scenes of a period are sorted by a network of compare-exchange steps that runs over whole rows of pixels: no
branch depends on the data, so the compiler turns each step into vector instructions on uint16. Invalid observations
are raised to 65535, sort last, and are never reached because the middle is looked up by each pixel's own count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.compiling import compiled

# Pixels of a row that are sorted together: a month of them stays in the first-level cache.
SEGMENT = 256
COUNT_MAXIMUM = 255


def monthly_median(
    reflectance: NDArray[np.uint16], valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Take the median of the valid observations of each period, per band.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``, x contiguous (else it is copied). What it
            holds where ``valid`` is False does not matter; 0 (nodata) must not be valid, see
            :func:`cropflow.composites.valid_observations`.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.

    Returns:
        The composite, uint16, ``(period, band, y, x)``, 0 where a period has no valid observation; the median of an
        even count is the mean of the two middle values, halves rounded up. And the number of valid observations,
        uint8, ``(period, y, x)``, at most 255.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.

    Source:
        Merge exchange: Knuth, The Art of Computer Programming 3, 2nd ed., section 5.2.2, algorithm M.
    """
    period = np.asarray(period)
    if reflectance.ndim != 4 or reflectance.dtype != np.uint16:
        raise ValueError(f"reflectance is {reflectance.dtype} {reflectance.shape}; expected uint16 (scene, band, y, x)")
    n_scenes, n_bands, height, width = reflectance.shape
    if valid.shape != (n_scenes, height, width) or valid.dtype != np.bool_:
        raise ValueError(f"valid is {valid.dtype} {valid.shape}; expected bool {(n_scenes, height, width)}")
    if period.shape != (n_scenes,):
        raise ValueError(f"period has the shape {period.shape}; expected {(n_scenes,)}")
    if n_scenes and (period.min() < 0 or period.max() >= n_periods):
        raise ValueError(f"periods run from {period.min()} to {period.max()}; expected 0 to {n_periods - 1}")
    composite = np.empty((n_periods, n_bands, height, width), dtype=np.uint16)
    observations = np.empty((n_periods, height, width), dtype=np.uint8)
    scenes = np.argsort(period, kind="stable")
    starts = np.searchsorted(period[scenes], np.arange(n_periods + 1))
    _median(
        np.ascontiguousarray(reflectance),
        np.ascontiguousarray(valid).view(np.uint8),
        scenes,
        starts,
        composite,
        observations,
    )
    return composite, observations


@compiled
def _exchange(low: NDArray[np.uint16], high: NDArray[np.uint16]) -> None:
    """Order two rows pixel by pixel: the smaller values end in the first."""
    for x in range(low.size):
        a, b = low[x], high[x]
        low[x] = b if b < a else a
        high[x] = a if b < a else b


@compiled
def _sort_rows(rows: NDArray[np.uint16], size: int, width: int) -> None:
    """Sort the first ``size`` rows pixel by pixel, ascending, by merge exchange."""
    top = 1
    while 2 * top < size:
        top *= 2
    p = top
    while p > 0 and size > 1:
        q, r, d = top, 0, p
        while True:
            for i in range(size - d):
                if i & p == r:
                    # Slices of one row keep their layout; of several rows they would not, and lose the vectors.
                    _exchange(rows[i, :width], rows[i + d, :width])
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


@compiled
def _load(row: NDArray[np.uint16], values: NDArray[np.uint16], valid: NDArray[np.uint8]) -> None:
    """Copy a row of one scene; what is invalid becomes the largest value and so sorts last."""
    for x in range(values.size):
        row[x] = values[x] if valid[x] else np.uint16(65535)


@compiled
def _count(total: NDArray[np.uint16], valid: NDArray[np.uint8]) -> bool:
    """Add the valid pixels of a row to the totals; tell whether there was any."""
    found = np.uint8(0)
    for x in range(valid.size):
        total[x] += valid[x]
        found |= valid[x]
    return bool(found)


@compiled
def _pick(chosen: NDArray[np.uint16], row: NDArray[np.uint16], rank: NDArray[np.uint16], k: int) -> None:
    """Take the value of the sorted row ``k`` where it has the wanted rank."""
    wanted = np.uint16(k)
    for x in range(chosen.size):
        chosen[x] = row[x] if rank[x] == wanted else chosen[x]


@compiled
def _mean(
    out: NDArray[np.uint16], low: NDArray[np.uint16], high: NDArray[np.uint16], count: NDArray[np.uint16]
) -> None:
    """Mean of the two middle values, halves up; 0 where there is none."""
    for x in range(out.size):
        # (low + high + 1) // 2 without leaving 16 bits.
        mean = (low[x] | high[x]) - ((low[x] ^ high[x]) >> 1)
        out[x] = mean if count[x] > 0 else 0


@compiled
def _median(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.uint8],
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    composite: NDArray[np.uint16],
    observations: NDArray[np.uint8],
) -> None:
    n_periods, n_bands, height, width = composite.shape
    most = 1
    for p in range(n_periods):
        most = max(most, starts[p + 1] - starts[p])
    rows = np.empty((most, SEGMENT), dtype=np.uint16)
    seen = np.empty(most, dtype=np.int64)
    count, lower, upper, low, high = np.empty((5, SEGMENT), dtype=np.uint16)
    for y in range(height):
        for left in range(0, width, SEGMENT):
            right = min(left + SEGMENT, width)
            n = right - left
            for p in range(n_periods):
                count[:n] = 0
                # Clouds are large: scenes that are covered along the whole segment are neither read nor sorted.
                size = 0
                for k in range(starts[p], starts[p + 1]):
                    if _count(count[:n], valid[scenes[k], y, left:right]):
                        seen[size] = scenes[k]
                        size += 1
                for x in range(n):
                    observations[p, y, left + x] = min(count[x], COUNT_MAXIMUM)
                    lower[x] = (max(count[x], 1) - 1) >> 1
                    upper[x] = count[x] >> 1
                for band in range(n_bands):
                    for k in range(size):
                        _load(rows[k, :n], reflectance[seen[k], band, y, left:right], valid[seen[k], y, left:right])
                    _sort_rows(rows, size, n)
                    for k in range(min(size, size // 2 + 1)):
                        _pick(low[:n], rows[k, :n], lower[:n], k)
                        _pick(high[:n], rows[k, :n], upper[:n], k)
                    _mean(composite[p, band, y, left:right], low[:n], high[:n], count[:n])
