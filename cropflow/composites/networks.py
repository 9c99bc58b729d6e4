"""The two middle values of a few rows of pixels, by networks of compare-exchange steps.

No step depends on the data, so the compiler turns each into vector instructions on sixteen or more pixels at once.
Small networks run in registers: their steps are written out while the kernel is compiled, and those that do not reach
the middle fall away. Larger ones run over rows in the cache.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from cropflow.compiling import compiled

# Pixels that are worked on together: a month of them, one band, stays in the nearest caches.
SEGMENT = 1024
# Rows whose network fits into the registers of common processors.
LARGEST = 16
# The type of the two middle values; untyped in numba.
PAIR: Any = cast(Any, types.UniTuple)(types.uint16, 2)


def merge_exchange(size: int) -> list[tuple[int, int]]:
    """List the steps that sort ``size`` values: each puts the lesser of two positions first.

    Args:
        size: Number of values.

    Returns:
        Pairs of positions, the lesser first. Without the steps that reach beyond ``n`` positions, they sort the first
        ``n``.

    Source:
        Knuth, The Art of Computer Programming 3, 2nd ed., section 5.2.2, algorithm M.
    """
    steps: list[tuple[int, int]] = []
    top = 1 << max(size - 1, 0).bit_length() >> 1
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            steps += [(i, i + d) for i in range(size - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return steps


def _write_middle(_: Any, rows: Any, x: Any, size: Any) -> Any:
    """Give the compiler the instructions of a network; ``size``, even, is known to it as a number."""
    count = size.literal_value
    signature = PAIR(rows, x, size)

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = builder.gep(rows.data, [arguments[1]])
        values = [
            builder.load(builder.gep(first, [context.get_constant(types.intp, k * SEGMENT)])) for k in range(count)
        ]
        for i, j in merge_exchange(count):
            a, b = values[i], values[j]
            swap = builder.icmp_unsigned("<", b, a)
            values[i], values[j] = builder.select(swap, b, a), builder.select(swap, a, b)
        middle = values[count // 2 - 1], values[count // 2]
        return context.make_tuple(builder, signature.return_type, middle)

    return signature, write


# middle_at(rows, x, size) -> (lower, upper) middle of rows[x + k * SEGMENT], k < size.
_middle_at: Any = intrinsic(prefer_literal=True)(_write_middle)


def _network(size: int) -> Any:
    """Compile the network of one size over a segment."""

    @compiled
    def middle(rows: NDArray[np.uint16], lower: NDArray[np.uint16], out: NDArray[np.uint16]) -> None:
        for x in range(out.size):
            low, high = _middle_at(rows, x, size)
            out[x] = _mean(low, low if lower[x] else high)

    return middle


@compiled
def _mean(low: np.uint16, high: np.uint16) -> Any:
    """Mean of two values, halves up, without leaving 16 bits."""
    return (low | high) - ((low ^ high) >> np.uint16(1))


_two, _four, _six, _eight = _network(2), _network(4), _network(6), _network(8)
_ten, _twelve, _fourteen, _sixteen = _network(10), _network(12), _network(14), _network(16)


@compiled
def _exchange(low: NDArray[np.uint16], high: NDArray[np.uint16]) -> None:
    """Order two rows pixel by pixel: the smaller values end in the first."""
    for x in range(low.size):
        a, b = low[x], high[x]
        low[x] = b if b < a else a
        high[x] = a if b < a else b


@compiled
def _means(
    low: NDArray[np.uint16], high: NDArray[np.uint16], lower: NDArray[np.uint16], out: NDArray[np.uint16]
) -> None:
    for x in range(out.size):
        out[x] = _mean(low[x], low[x] if lower[x] else high[x])


@compiled
def middle(
    rows: NDArray[np.uint16],
    size: int,
    steps: NDArray[np.int64],
    lower: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> None:
    """Take the middle of an even number of rows: the mean of the two middle values, or the lower one.

    Args:
        rows: Rows of a segment, uint16, row ``k`` from ``k * SEGMENT``; their order is lost.
        size: Number of rows, even, at least 2.
        steps: Steps of :func:`merge_exchange` for at least ``size`` rows, int, ``(step, 2)``; those of more rows than
            ``LARGEST`` are worked off.
        lower: Not 0 where the lower middle is wanted alone, uint16, ``(pixel,)``, at most ``SEGMENT``.
        out: Filled with the middle, uint16, ``(pixel,)``; means have their halves rounded up.
    """
    if size == 2:
        _two(rows, lower, out)
    elif size == 4:
        _four(rows, lower, out)
    elif size == 6:
        _six(rows, lower, out)
    elif size == 8:
        _eight(rows, lower, out)
    elif size == 10:
        _ten(rows, lower, out)
    elif size == 12:
        _twelve(rows, lower, out)
    elif size == 14:
        _fourteen(rows, lower, out)
    elif size == LARGEST:
        _sixteen(rows, lower, out)
    else:
        n = out.size
        for step in range(steps.shape[0]):
            i, j = steps[step]
            if j < size:
                # Slices of a flat array are known to be contiguous, which vectors need.
                _exchange(rows[i * SEGMENT : i * SEGMENT + n], rows[j * SEGMENT : j * SEGMENT + n])
        low, high = (size // 2 - 1) * SEGMENT, size // 2 * SEGMENT
        _means(rows[low : low + n], rows[high : high + n], lower, out)


@compiled
def _mark(marks: NDArray[np.uint16], codes: NDArray[np.uint8], clear: np.uint32) -> bool:
    """Put 1 where a pixel's class is clear, else 0; tell whether there was any."""
    found = np.uint32(0)
    for x in range(codes.size):
        mark = (clear >> np.uint32(codes[x])) & np.uint32(1)
        marks[x] = mark
        found |= mark
    return bool(found)


@compiled
def _least(
    least: NDArray[np.uint16],
    a: NDArray[np.uint16],
    b: NDArray[np.uint16],
    c: NDArray[np.uint16],
    d: NDArray[np.uint16],
    e: NDArray[np.uint16],
) -> None:
    """Lower the least value of each pixel to those of five bands: more rows at once hide the wait for memory."""
    for x in range(least.size):
        least[x] = min(least[x], min(min(a[x], b[x]), min(min(c[x], d[x]), e[x])))


@compiled
def _settle(
    marks: NDArray[np.uint16],
    least: NDArray[np.uint16],
    count: NDArray[np.uint16],
    turn: NDArray[np.uint16],
    keep: NDArray[np.uint16],
    fill: NDArray[np.uint16],
) -> None:
    """Make a scene's masks: all bits kept and none filled where it is valid, else the pixel's next filling."""
    for x in range(marks.size):
        valid = marks[x] if least[x] != 0 else np.uint16(0)
        count[x] += valid
        kept = np.uint16(0) - valid
        keep[x] = kept
        turn[x] ^= ~kept
        fill[x] = ~kept & turn[x]


@compiled
def _fill(turn: NDArray[np.uint16], row: NDArray[np.uint16]) -> None:
    """A row without a scene, to make their number even."""
    for x in range(turn.size):
        row[x] = ~turn[x]


@compiled
def _close(count: NDArray[np.uint16], lower: NDArray[np.uint16], observations: NDArray[np.uint8]) -> None:
    """The middle is one value where the count is odd; of fillings alone the lower one, 0, is nodata."""
    for x in range(count.size):
        observations[x] = min(count[x], 255)
        lower[x] = (count[x] & 1) | (count[x] == 0)


@compiled
def _load(
    row: NDArray[np.uint16], values: NDArray[np.uint16], keep: NDArray[np.uint16], fill: NDArray[np.uint16]
) -> None:
    for x in range(row.size):
        row[x] = (values[x] & keep[x]) | fill[x]


@compiled
def median_kernel(
    reflectance: NDArray[np.uint16],
    codes: NDArray[np.uint8],
    clear: np.uint32,
    zeros: bool,
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    steps: NDArray[np.int64],
    composite: NDArray[np.uint16],
    observations: NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    """The medians of the pixels from ``first`` to ``last``; ``zeros``: an observation with a 0 is invalid."""
    n_periods, n_bands = composite.shape[:2]
    most = 1
    for p in range(n_periods):
        most = max(most, starts[p + 1] - starts[p])
    rows = np.empty((most + 1) * SEGMENT, dtype=np.uint16)
    keep = np.empty((most, SEGMENT), dtype=np.uint16)
    fill = np.empty((most, SEGMENT), dtype=np.uint16)
    seen = np.empty(most, dtype=np.int64)
    # One by one: the rows of an unpacked array are not known to be contiguous, which vectors need.
    marks = np.empty(SEGMENT, dtype=np.uint16)
    least = np.empty(SEGMENT, dtype=np.uint16)
    count = np.empty(SEGMENT, dtype=np.uint16)
    turn = np.empty(SEGMENT, dtype=np.uint16)
    lower = np.empty(SEGMENT, dtype=np.uint16)
    for left in range(first, last, SEGMENT):
        right = min(left + SEGMENT, last)
        n = right - left
        for p in range(n_periods):
            count[:n] = 0
            turn[:n] = 0
            size = 0
            for k in range(starts[p], starts[p + 1]):
                scene = scenes[k]
                # Clouds are large: scenes that are covered along the whole segment are neither read nor sorted.
                if not _mark(marks[:n], codes[scene, left:right], clear):
                    continue
                least[:n] = 65535
                for band in range(0, n_bands if zeros else 0, 5):
                    _least(
                        least[:n],
                        reflectance[scene, band, left:right],
                        reflectance[scene, min(band + 1, n_bands - 1), left:right],
                        reflectance[scene, min(band + 2, n_bands - 1), left:right],
                        reflectance[scene, min(band + 3, n_bands - 1), left:right],
                        reflectance[scene, min(band + 4, n_bands - 1), left:right],
                    )
                _settle(marks[:n], least[:n], count[:n], turn[:n], keep[size, :n], fill[size, :n])
                seen[size] = scene
                size += 1
            _close(count[:n], lower[:n], observations[p, left:right])
            for band in range(n_bands):
                if size == 0:
                    composite[p, band, left:right] = 0
                    continue
                for k in range(size):
                    row = k * SEGMENT
                    _load(rows[row : row + n], reflectance[seen[k], band, left:right], keep[k, :n], fill[k, :n])
                if size % 2 == 1:
                    _fill(turn[:n], rows[size * SEGMENT : size * SEGMENT + n])
                middle(rows, size + size % 2, steps, lower[:n], composite[p, band, left:right])
