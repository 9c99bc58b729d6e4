"""The multi-temporal speckle filter: looks are gained over time, and the grain of the field stays.

A pixel's own ratio to its neighbourhood is the same at all dates but for speckle. Its mean over many dates, times the
neighbourhood of one date, keeps what changes with the season from that date and what is fixed in space from all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled
from cropflow.composites.radar.kernels import NODATA, power_table
from cropflow.errors import CropflowError


def window_radius(side_m: float, pixel_m: float) -> int:
    """Pixels from the middle to the edge of a window: its side is the nearest odd number of pixels, or the larger one.

    Args:
        side_m: Side of the window, metres.
        pixel_m: Pixel size, metres.

    Raises:
        CropflowError: If the window is a single pixel, which filters nothing.
    """
    radius = int(side_m / pixel_m / 2)
    if radius == 0:
        raise CropflowError(
            f"series.<name>.radar.speckle_window_m is {side_m:g}, a single pixel of {pixel_m:g} m; expected at least "
            f"{2 * pixel_m:g}. Widen it, or set speckle to none."
        )
    return radius


def filter_speckle(
    backscatter: NDArray[np.int16], days: NDArray[np.float64], orbit: NDArray[np.int64], radius: int, reach_days: int
) -> NDArray[np.int16]:
    """Filter every pass with the passes of its orbit that are near in time.

    With ``I`` the linear power and ``<I>`` its mean over the valid pixels of a square window, pass ``k`` becomes
    ``J_k = <I_k> / N * sum_i(I_i / <I_i>)`` over the ``N`` passes ``i`` of the same orbit, ``k`` included, that are at
    most ``reach_days`` away and valid at the pixel.

    Args:
        backscatter: dB x 100, int16, ``(pass, band, y, x)``, -32768 = nodata.
        days: Time of each pass in days, float64, ``(pass,)``; differences are rounded to whole days.
        orbit: Orbit of each pass, int, ``(pass,)``: others look from elsewhere and see another grain.
        radius: Pixels from the middle to the edge of the window.
        reach_days: Days before and after.

    Returns:
        dB x 100, int16, rounded, the shape of ``backscatter``, with the same nodata. A pixel depends on those within
        ``radius`` of it alone, to the last bit.

    Source:
        Quegan and Yu (2001), IEEE Transactions on Geoscience and Remote Sensing 39(11), 2373-2379: the filter of images
        whose speckle is uncorrelated, each polarisation on its own.
    """
    out = np.full_like(backscatter, NODATA)
    apart = np.abs(np.rint(days[:, np.newaxis] - days[np.newaxis, :]))
    near = (apart <= reach_days) & (orbit[:, np.newaxis] == orbit[np.newaxis, :])
    for band in range(backscatter.shape[1]):
        _filter(np.ascontiguousarray(backscatter[:, band]), near, radius, power_table(), out[:, band])
    return out


@compiled
def _add_row(total: NDArray[np.float32], row: NDArray[np.float32]) -> None:
    for x in range(total.size):
        total[x] += row[x]


@compiled
def _box_sum(values: NDArray[np.float32], along: NDArray[np.float32], total: NDArray[np.float32], radius: int) -> None:
    """Sums over square windows, cut off at the edges.

    Every sum adds its terms in the order of their places: no running sum, whose rounding would depend on where the
    block begins.
    """
    height, width = values.shape
    for y in range(height):
        along[y] = 0.0
        for shift in range(-radius, radius + 1):
            first, last = max(0, -shift), min(width, width - shift)
            if first < last:
                _add_row(along[y, first:last], values[y, first + shift : last + shift])
    for y in range(height):
        total[y] = 0.0
        for row in range(max(0, y - radius), min(height, y + radius + 1)):
            _add_row(total[y], along[row])


@compiled
def _filter(
    backscatter: NDArray[np.int16],
    near: NDArray[np.bool_],
    radius: int,
    table: NDArray[np.float32],
    out: NDArray[np.int16],
) -> None:
    n_passes, height, width = backscatter.shape
    local = np.empty((n_passes, height, width), dtype=np.float32)
    ratio = np.zeros((n_passes, height, width), dtype=np.float32)
    power, valid, along, count = np.empty((4, height, width), dtype=np.float32)
    for i in range(n_passes):
        for y in range(height):
            for x in range(width):
                power[y, x] = table[np.int64(backscatter[i, y, x]) + 32768]
                valid[y, x] = np.float32(backscatter[i, y, x] != NODATA)
        _box_sum(power, along, local[i], radius)
        _box_sum(valid, along, count, radius)
        for y in range(height):
            for x in range(width):
                if valid[y, x] > 0:
                    local[i, y, x] /= count[y, x]
                    ratio[i, y, x] = power[y, x] / local[i, y, x]
    total = np.empty(width, dtype=np.float32)
    number = np.empty(width, dtype=np.int32)
    for k in range(n_passes):
        for y in range(height):
            total[:] = 0.0
            number[:] = 0
            for i in range(n_passes):
                if near[k, i]:
                    # The ratio is 0 where a pass is not valid.
                    _add_row(total, ratio[i, y])
                    for x in range(width):
                        number[x] += np.int32(backscatter[i, y, x] != NODATA)
            for x in range(width):
                if backscatter[k, y, x] != NODATA:
                    value = local[k, y, x] * total[x] / number[x]
                    out[k, y, x] = np.int16(np.floor(1000.0 * np.log10(value) + 0.5))
