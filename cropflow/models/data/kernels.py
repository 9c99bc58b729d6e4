"""From memory maps to batches: gathering, masks, sums and counted random numbers, one pass over the values each.

Random numbers are hashes of what they are for, not states of a generator: any sample of any batch has its own,
whoever asks first. All kernels run on one thread and release the interpreter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.compiling import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11, _S16 = (np.uint64(bits) for bits in (30, 27, 31, 11, 16))
_ONE = np.uint64(1)
_LOW = np.uint64(0xFFFF)
_UNIT = 2.0**-53


@compiled
def mixed(key: np.uint64, counter: np.uint64) -> np.uint64:
    """The random number of a counter, 64 bits.

    Source:
        Steele, Lea and Flood (2014), https://doi.org/10.1145/2660193.2660195: the finaliser of SplitMix64.
    """
    x = key + _GOLDEN * (counter + _ONE)
    x = (x ^ (x >> _S30)) * _FIRST
    x = (x ^ (x >> _S27)) * _SECOND
    return x ^ (x >> _S31)


@compiled
def keys_of(key: np.uint64, items: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A key of its own for each item, from that of a purpose, ``(n,)``."""
    found = np.empty(items.size, dtype=np.uint64)
    for n in range(items.size):
        found[n] = mixed(key, np.uint64(items[n]))
    return found


@compiled
def uniform(keys: NDArray[np.uint64], counters: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) for each key and each of its counters, ``(n, k)``.

    Args:
        keys: ``(n,)``.
        counters: ``(n, k)``, at least 0.
    """
    found = np.empty(counters.shape, dtype=np.float64)
    for n in range(counters.shape[0]):
        for k in range(counters.shape[1]):
            found[n, k] = np.float64(mixed(keys[n], np.uint64(counters[n, k])) >> _S11) * _UNIT
    return found


@compiled
def draw_slots(
    starts: NDArray[np.int64], counts: NDArray[np.int64], keys: NDArray[np.uint64], slots: int
) -> NDArray[np.int64]:
    """Draw pixels of parcels without replacement; every subset of a parcel's pixels has the same chance.

    Args:
        starts: First pixel of each parcel, ``(n,)``.
        counts: Its pixels.
        keys: Its key.
        slots: Pixels of a parcel, at most.

    Returns:
        Rows of pixels, ascending, ``(n, slots)``; -1 in the slots that a smaller parcel leaves.

    Source:
        Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
    """
    rows = np.full((starts.size, slots), -1, dtype=np.int64)
    for n in range(starts.size):
        wanted = min(slots, counts[n])
        taken = 0
        for pixel in range(counts[n]):
            left = counts[n] - pixel
            number = np.float64(mixed(keys[n], np.uint64(pixel)) >> _S11) * _UNIT
            if number * left < wanted - taken:
                rows[n, taken] = starts[n] + pixel
                taken += 1
                if taken == wanted:
                    break
    return rows


@compiled
def take_sets(
    values: NDArray[Any],
    observations: NDArray[np.uint8],
    rows: NDArray[np.int64],
    where: NDArray[np.int64],
    nodata: int,
    out: NDArray[Any],
    counted: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> None:
    """Gather series of pixels into a batch, pixel by pixel, and find where they are valid in all bands.

    Args:
        values: As stored, ``(P, T, C)``.
        observations: ``(P, T)``.
        rows: Pixels wanted, ``(n, S)``; -1 = none.
        where: Samples of the batch that they are of, ``(n,)``.
        nodata: Value that means none.
        out: Values, ``(B, S, L, C)``; nodata where there is no pixel, and after the T-th date.
        counted: Observations, ``(B, S, L)``; 0 there.
        valid: ``(B, S, L)``; False there.
    """
    bands, length = values.shape[2], out.shape[2]
    frames = min(values.shape[1], length)
    for n in range(rows.shape[0]):
        sample = where[n]
        for slot in range(rows.shape[1]):
            row = rows[n, slot]
            filled = frames if row >= 0 else 0
            for t in range(filled):
                whole = True
                for band in range(bands):
                    value = values[row, t, band]
                    out[sample, slot, t, band] = value
                    whole &= value != nodata
                valid[sample, slot, t] = whole
                counted[sample, slot, t] = observations[row, t]
            for t in range(filled, length):
                valid[sample, slot, t] = False
                counted[sample, slot, t] = 0
                for band in range(bands):
                    out[sample, slot, t, band] = nodata


@compiled
def take_squares(
    values: NDArray[Any],
    observations: NDArray[np.uint8],
    rows: NDArray[np.int64],
    where: NDArray[np.int64],
    corners: NDArray[np.int64],
    turns: NDArray[np.int64],
    nodata: int,
    out: NDArray[Any],
    counted: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> None:
    """Copy squares of patches into a batch, turned and flipped, and find where they are valid in all bands.

    Args:
        values: As stored, ``(N, T, C, P, P)``.
        observations: ``(N, T, P, P)``.
        rows: Patches wanted, ``(n,)``.
        where: Samples of the batch that they are of, ``(n,)``.
        corners: Upper-left pixel of each square, ``(n, 2)``.
        turns: Quarter turns against the clock (as of ``numpy.rot90``), and 1 where the turned square is mirrored left
            to right, ``(n, 2)``.
        nodata: Value that means none.
        out: Values, ``(B, L, C, S, S)``; nodata after the T-th date.
        counted: Observations, ``(B, L, S, S)``; 0 there.
        valid: ``(B, L, S, S)``; False there.
    """
    bands, side, length = values.shape[2], out.shape[3], out.shape[1]
    frames = min(values.shape[1], length)
    for n in range(rows.size):
        row, sample, quarter = rows[n], where[n], turns[n, 0]
        # Whether rows of the result are columns of the source, and which way they run.
        crossed = quarter % 2 == 1
        last = side - 1
        for t in range(length):
            if t >= frames:
                out[sample, t] = nodata
                counted[sample, t] = 0
                valid[sample, t] = False
                continue
            valid[sample, t] = True
            for band in range(-1, bands):
                for i in range(side):
                    # Source of the first pixel of a row, and of the next ones.
                    down = i if quarter == 0 or quarter == 3 else last - i
                    y, x = corners[n, 0], corners[n, 1]
                    step = 1 if quarter < 2 else -1
                    begin = 0 if quarter < 2 else last
                    if turns[n, 1] == 1:
                        begin, step = last - begin, -step
                    if band < 0:
                        picture = observations[row, t]
                        if crossed:
                            for j in range(side):
                                counted[sample, t, i, j] = picture[y + begin + step * j, x + down]
                        else:
                            for j in range(side):
                                counted[sample, t, i, j] = picture[y + down, x + begin + step * j]
                    elif crossed:
                        layer = values[row, t, band]
                        for j in range(side):
                            value = layer[y + begin + step * j, x + down]
                            out[sample, t, band, i, j] = value
                            valid[sample, t, i, j] &= value != nodata
                    elif step == 1:
                        source = values[row, t, band, y + down, x : x + side]
                        for j in range(side):
                            value = source[j]
                            out[sample, t, band, i, j] = value
                            valid[sample, t, i, j] &= value != nodata
                    else:
                        source = values[row, t, band, y + down, x : x + side]
                        for j in range(side):
                            value = source[last - j]
                            out[sample, t, band, i, j] = value
                            valid[sample, t, i, j] &= value != nodata


@compiled
def valid_of(values: NDArray[Any], nodata: int, valid: NDArray[np.bool_]) -> None:
    """Find where series are valid in all bands.

    Args:
        values: As stored, ``(N, T, C, A)``; A = pixels that lie side by side.
        nodata: Value that means none.
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
def band_sums(values: NDArray[Any], chosen: NDArray[np.bool_], nodata: int) -> NDArray[np.int64]:
    """Count and add up the values of each band, and their squares, exactly.

    Args:
        values: As stored, ``(N, T, C, A)``.
        chosen: True where a pixel counts, ``(N, A)``.
        nodata: Value that means none; left out band by band.

    Returns:
        Number, sum and sum of squares, int64, ``(C, 3)``: exact for up to 2e9 values.
    """
    found = np.zeros((values.shape[2], 3), dtype=np.int64)
    for n in range(values.shape[0]):
        for t in range(values.shape[1]):
            for band in range(values.shape[2]):
                number, total, squares = 0, 0, 0
                for a in range(values.shape[3]):
                    value = np.int64(values[n, t, band, a])
                    known = chosen[n, a] & (value != nodata)
                    value *= known
                    number += known
                    total += value
                    squares += value * value
                found[band, 0] += number
                found[band, 1] += total
                found[band, 2] += squares
    return found


@compiled
def jitter(
    values: NDArray[Any],
    keys: NDArray[np.uint64],
    spread: NDArray[np.float32],
    largest: NDArray[np.float32],
    quantiles: NDArray[np.float32],
    nodata: int,
    highest: int,
) -> None:
    """Add normal noise to the values of a batch, in place; a value never becomes nodata, and nodata stays.

    Args:
        values: As stored, ``(B, S, L, C)``.
        keys: Key of each sample, ``(B,)``.
        spread: Spread of the noise per band, in stored units, ``(C,)``.
        largest: Largest noise per band.
        quantiles: 65,536 quantiles of the normal distribution.
        nodata: Value that means none, the least of its type.
        highest: Largest value of its type.
    """
    for n in range(values.shape[0]):
        for slot in range(values.shape[1]):
            for t in range(values.shape[2]):
                number = np.uint64(0)
                for band in range(values.shape[3]):
                    if band % 4 == 0:
                        # A number gives four quantiles; slot, date and band tell it, not the shape of the batch.
                        number = mixed(keys[n], np.uint64((slot << 28) + (t << 12) + band))
                    noise = quantiles[number & _LOW] * spread[band]
                    number >>= _S16
                    if values[n, slot, t, band] == nodata:
                        continue
                    noise = min(max(noise, -largest[band]), largest[band])
                    moved = np.int64(values[n, slot, t, band]) + np.int64(np.floor(noise + 0.5))
                    values[n, slot, t, band] = min(max(moved, nodata + 1), highest)
