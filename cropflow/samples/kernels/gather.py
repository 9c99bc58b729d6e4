"""Series of chosen pixels, taken out of a window and turned around in one pass."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


def gather(values: NDArray[Any], pixels: NDArray[np.int64], out: NDArray[Any], rows: NDArray[np.int64]) -> None:
    """Write the series of pixels into rows of an array.

    Neighbours in ``pixels`` that are neighbours in the window share the cache lines of every date and band: NumPy takes
    all pixels of one date after another, and turns the result around in a second pass over memory.

    Args:
        values: A window, contiguous, ``(T, ..., y, x)``.
        pixels: Positions in the flattened ``(y, x)``, int64, ``(n,)``.
        out: Array of the same type, contiguous, ``(rows, T or more, ...)``; what lies beyond T is left as it is.
        rows: Row of each pixel, int64, ``(n,)``.

    Raises:
        ValueError: If types or shapes do not fit.
    """
    series = values.shape[:-2]
    if values.dtype != out.dtype or out.shape[2:] != series[1:] or out.shape[1] < series[0] or len(pixels) != len(rows):
        raise ValueError(f"values are {values.dtype} {values.shape}, the array {out.dtype} {out.shape}")
    flat = np.ascontiguousarray(values).reshape(int(np.prod(series)), -1)
    # A view: rows of dates and bands side by side. A boolean is a byte.
    wide = out.reshape(len(out), -1)
    if values.dtype == np.bool_:
        flat, wide = flat.view(np.uint8), wide.view(np.uint8)
    _gather(flat, pixels, wide, rows)


@numba.njit(cache=True, nogil=True)
def _gather(flat: NDArray[Any], pixels: NDArray[np.int64], out: NDArray[Any], rows: NDArray[np.int64]) -> None:
    for number in range(len(pixels)):
        pixel, row = pixels[number], rows[number]
        for position in range(len(flat)):
            out[row, position] = flat[position, pixel]
