"""Masks and exact sums of stored series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.compiling import compiled

# Samples that stay in the cache while their bands are added up one after the other.
_TOGETHER = 64


@compiled
def valid_of(values: NDArray[Any], nodata: Any, valid: NDArray[np.bool_]) -> None:
    """Find where series are valid in all bands.

    Args:
        values: As stored, ``(N, T, C, A)``; A = pixels that lie side by side.
        nodata: Value that means none, of the values' type.
        valid: ``(N, T, A)``.
    """
    for n in range(values.shape[0]):
        for t in range(values.shape[1]):
            for a in range(values.shape[3]):
                valid[n, t, a] = True
            for band in range(values.shape[2]):
                for a in range(values.shape[3]):
                    valid[n, t, a] &= values[n, t, band, a] != nodata


@compiled
def band_sums(values: NDArray[Any], chosen: NDArray[np.bool_], nodata: Any) -> NDArray[np.int64]:
    """Count and add up the values of each band, and their squares, exactly.

    Args:
        values: As stored, ``(N, T, C, A)``; A = pixels that lie side by side.
        chosen: True where a pixel counts, ``(N, A)``.
        nodata: Value that means none, of the values' type; left out band by band.

    Returns:
        Number, sum and sum of squares, int64, ``(C, 3)``: exact for up to 2e9 values.
    """
    found = np.zeros((values.shape[2], 3), dtype=np.int64)
    for first in range(0, values.shape[0], _TOGETHER):
        for band in range(values.shape[2]):
            number, total, squares = 0, 0, 0
            for n in range(first, min(first + _TOGETHER, values.shape[0])):
                if not chosen[n].any():
                    continue
                for t in range(values.shape[1]):
                    for a in range(values.shape[3]):
                        value = np.int64(values[n, t, band, a])
                        known = chosen[n, a] & (values[n, t, band, a] != nodata)
                        number += known
                        total += value * known
                        squares += value * value * known
            found[band, 0] += number
            found[band, 1] += total
            found[band, 2] += squares
    return found
