"""Counted random numbers, and what is drawn with them.

A number is a hash of what it is for, not the next state of a generator: any sample of any batch has its own, whoever
asks first.
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
