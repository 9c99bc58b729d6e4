"""From memory maps to batches: values, counts and masks in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.compiling import compiled


@compiled
def take_sets(
    values: NDArray[Any],
    observations: NDArray[np.uint8],
    rows: NDArray[np.int64],
    where: NDArray[np.int64],
    nodata: Any,
    out: NDArray[Any],
    counted: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> None:
    """Gather series of pixels into a batch, pixel by pixel, and find where they are valid in all bands.

    Args:
        values: As stored, ``(P, T C)``.
        observations: ``(P, T)``.
        rows: Pixels wanted, ``(n, S)``; -1 = none.
        where: Samples of the batch that they are of, ``(n,)``.
        nodata: Value that means none, of the values' type.
        out: Values, ``(B, S, L C)``; nodata where there is no pixel, and after the T-th date.
        counted: Observations, ``(B, S, L)``; 0 there.
        valid: ``(B, S, L)``; False there.
    """
    length, frames = counted.shape[2], min(observations.shape[1], counted.shape[2])
    bands = out.shape[2] // length
    for n in range(rows.shape[0]):
        sample = where[n]
        for slot in range(rows.shape[1]):
            row = rows[n, slot]
            filled = frames if row >= 0 else 0
            # Runs of numbers: copying them and looking for nodata takes a few instructions for many.
            missing = 0
            for k in range(filled * bands):
                out[sample, slot, k] = values[row, k]
            for k in range(filled * bands):
                missing += out[sample, slot, k] == nodata
            for k in range(filled * bands, length * bands):
                out[sample, slot, k] = nodata
            for t in range(filled):
                counted[sample, slot, t] = observations[row, t]
                valid[sample, slot, t] = True
            for t in range(filled, length):
                counted[sample, slot, t] = 0
                valid[sample, slot, t] = False
            if missing > 0:
                for k in range(filled * bands):
                    valid[sample, slot, k // bands] &= out[sample, slot, k] != nodata


@compiled
def turn(source: NDArray[Any], top: int, left: int, quarter: int, mirrored: int, target: NDArray[Any]) -> None:
    """Copy a square, turned against the clock by quarters (as of ``numpy.rot90``), then mirrored left to right.

    Args:
        source: ``(P, P)``.
        top: First row of the square.
        left: Its first column.
        quarter: Quarter turns, 0 to 3.
        mirrored: 1 or 0.
        target: ``(S, S)``.
    """
    side = len(target)
    last = side - 1
    backwards = (quarter >= 2) != (mirrored == 1)
    if quarter == 0 and not backwards and side == len(source):
        whole, flat = source.reshape(-1), target.reshape(-1)
        for k in range(flat.size):
            flat[k] = whole[k]
        return
    for i in range(side):
        # Where a row of the result comes from: a row or a column, read forwards or backwards.
        line = i if quarter == 0 or quarter == 3 else last - i
        if quarter % 2 == 0 and backwards:
            for j in range(side):
                target[i, j] = source[top + line, left + last - j]
        elif quarter % 2 == 0:
            for j in range(side):
                target[i, j] = source[top + line, left + j]
        elif backwards:
            for j in range(side):
                target[i, j] = source[top + last - j, left + line]
        else:
            for j in range(side):
                target[i, j] = source[top + j, left + line]


@compiled
def take_squares(
    values: NDArray[Any],
    observations: NDArray[np.uint8],
    rows: NDArray[np.int64],
    where: NDArray[np.int64],
    corners: NDArray[np.int64],
    turns: NDArray[np.int64],
    nodata: Any,
    out: NDArray[Any],
    counted: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> None:
    """Copy squares of patches into a batch, turned and mirrored, and find where they are valid in all bands.

    Args:
        values: As stored, ``(N, T, C, P, P)``.
        observations: ``(N, T, P, P)``.
        rows: Patches wanted, ``(n,)``.
        where: Samples of the batch that they are of, ``(n,)``.
        corners: Upper-left pixel of each square, ``(n, 2)``.
        turns: Quarter turns against the clock, and 1 where the turned square is mirrored, ``(n, 2)``.
        nodata: Value that means none, the least of the values' type.
        out: Values, ``(B, L, C, S, S)``; nodata after the T-th date.
        counted: Observations, ``(B, L, S, S)``; 0 there.
        valid: ``(B, L, S, S)``; False there.
    """
    length, frames = out.shape[1], min(values.shape[1], out.shape[1])
    for n in range(rows.size):
        row, sample = rows[n], where[n]
        top, left, quarter, mirrored = corners[n, 0], corners[n, 1], turns[n, 0], turns[n, 1]
        for t in range(frames):
            turn(observations[row, t], top, left, quarter, mirrored, counted[sample, t])
            valid[sample, t] = True
            for band in range(values.shape[2]):
                turn(values[row, t, band], top, left, quarter, mirrored, out[sample, t, band])
                layer, mask = out[sample, t, band].reshape(-1), valid[sample, t].reshape(-1)
                # Most layers lack nothing, and their least value tells so at once.
                least = layer[0]
                for k in range(layer.size):
                    least = layer[k] if layer[k] < least else least
                if least == nodata:
                    for k in range(layer.size):
                        mask[k] &= layer[k] != nodata
        for t in range(frames, length):
            out[sample, t] = nodata
            counted[sample, t] = 0
            valid[sample, t] = False
