"""Order parcels along a Hilbert curve, from coordinates alone: no geometry has to be held for it.

The numbers are those of ``GeoSeries.hilbert_distance`` at its finest level, which needs all geometries at once.

Source: H. S. Warren, "Hacker's Delight", 2nd edition (2012), chapter 16, bit by bit from the highest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = 16
# Rows that are numbered at a time, so that the helper arrays stay in the cache.
_CHUNK = 1 << 16


def hilbert_distance(
    x: NDArray[np.float64], y: NDArray[np.float64], ranges: tuple[float, float, float, float]
) -> NDArray[np.uint32]:
    """Number points along the curve.

    Args:
        x: Finite coordinates, ``(point,)``.
        y: The same of the other axis.
        ranges: Lowest x and y, highest x and y: the square that the curve fills; points outside count as on its rim.

    Returns:
        Distance along the curve, uint32, ``(point,)``.
    """
    result = np.empty(len(x), dtype=np.uint32)
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _encode(_cell(x[part], ranges[0], ranges[2]), _cell(y[part], ranges[1], ranges[3]))
    return result


def _cell(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint32]:
    most = (1 << LEVEL) - 1
    if high == low:
        return np.zeros(len(values), dtype=np.uint32)
    return ((values - low) * (most / (high - low))).clip(0, most).astype(np.uint32)


def _encode(x: NDArray[np.uint32], y: NDArray[np.uint32]) -> NDArray[np.uint32]:
    x, y = x.copy(), y.copy()
    distance = np.zeros(len(x), dtype=np.uint32)
    for bit in range(LEVEL - 1, -1, -1):
        right, upper = (x >> bit) & 1, (y >> bit) & 1
        distance = ((distance << 2) | ((3 * right) ^ upper)).astype(np.uint32)
        # In the lower quadrants the curve is turned: x and y change places, mirrored in the right one.
        mirror = (0 - (right & (1 - upper))).astype(np.uint32)
        x ^= mirror
        y ^= mirror
        swap = (x ^ y) & (0 - (1 - upper)).astype(np.uint32)
        x ^= swap
        y ^= swap
    return distance
