"""Fill the periods without an observation from their neighbours, within a declared limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.compiling import compiled


def fill_gaps(
    composite: NDArray[np.uint16], observations: NDArray[np.uint8], max_gap: int
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Give a missing period the mean of the nearest valid period before and after it.

    The mean is plain (not weighted by distance), per band, halves rounded up. Periods before the first valid one
    take its value, periods after the last valid one take that one's. A run of missing periods longer than
    ``max_gap``, at the edges too, stays nodata, and so does a pixel without any observation.

    Args:
        composite: Reflectance x 10000, uint16, ``(period, band, y, x)``.
        observations: Valid observations per period, uint8, ``(period, y, x)``; a period is missing where it is 0.
        max_gap: Longest run of missing periods that is filled; 0 fills nothing.

    Returns:
        A filled copy, uint16, ``(period, band, y, x)``, 0 = nodata; and where a value was written although the
        period has no valid observation, bool, ``(period, y, x)``.

    Raises:
        ValueError: If the periods or pixels of the two arrays differ, or ``max_gap`` is negative.
    """
    if composite.ndim != 4 or observations.shape != (composite.shape[0], *composite.shape[2:]):
        raise ValueError(
            f"composite has the shape {composite.shape}, observations {observations.shape}; expected the same pixels"
        )
    if max_gap < 0:
        raise ValueError(f"max_gap is {max_gap}; expected 0 or more")
    out = np.array(composite, dtype=np.uint16, order="C")
    filled = np.zeros(observations.shape, dtype=np.bool_)
    _fill(out, np.ascontiguousarray(observations), max_gap, filled)
    return out, filled


@compiled
def _fill(
    composite: NDArray[np.uint16], observations: NDArray[np.uint8], max_gap: int, filled: NDArray[np.bool_]
) -> None:
    n_periods, n_bands, height, width = composite.shape
    # Nearest valid period before and after, per pixel of a row; -1 and n_periods where there is none.
    before = np.empty((n_periods, width), dtype=np.int64)
    after = np.empty((n_periods, width), dtype=np.int64)
    for y in range(height):
        for x in range(width):
            last = -1
            for p in range(n_periods):
                if observations[p, y, x] > 0:
                    last = p
                before[p, x] = last
            following = n_periods
            for p in range(n_periods - 1, -1, -1):
                if observations[p, y, x] > 0:
                    following = p
                after[p, x] = following
        for p in range(n_periods):
            for x in range(width):
                run = after[p, x] - before[p, x] - 1
                filled[p, y, x] = observations[p, y, x] == 0 and run <= max_gap and run < n_periods
            for band in range(n_bands):
                for x in range(width):
                    if observations[p, y, x] > 0:
                        continue
                    if not filled[p, y, x]:
                        composite[p, band, y, x] = 0
                        continue
                    # At an edge the only neighbour stands for both. Sources are never missing periods, so
                    # writing in place cannot feed a filled value into another fill.
                    first = before[p, x] if before[p, x] >= 0 else after[p, x]
                    second = after[p, x] if after[p, x] < n_periods else before[p, x]
                    composite[p, band, y, x] = (
                        np.uint32(composite[first, band, y, x])
                        + np.uint32(composite[second, band, y, x])
                        + np.uint32(1)
                    ) >> np.uint32(1)
