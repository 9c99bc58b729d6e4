"""Backscatter over time: slices of a pass put together, angles brought to one, means in linear power.

All kernels take and give dB x 100 in int16. A table of all 65,536 values turns them into linear power, which costs less
than one logarithm a pixel, and is exact: dB are never averaged.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled

NODATA = -32768
COUNT_MAXIMUM = 255
# Degrees x 100; beyond it the cosine of a radar's angle of incidence means nothing.
_LARGEST_ANGLE = 8900


@lru_cache(maxsize=1)
def power_table() -> NDArray[np.float32]:
    """Linear power of each dB x 100, float32, ``(65536,)``, beginning at -32768, which is nodata and gives 0."""
    table = (10 ** (np.arange(-32768, 32768) / 1000)).astype(np.float32)
    table[0] = 0
    table.flags.writeable = False
    return table


def mean_power(
    backscatter: NDArray[np.int16], period: NDArray[np.int64], n_periods: int
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Average the valid observations of each period in linear power, per band.

    Args:
        backscatter: dB x 100, int16, ``(scene, band, y, x)``; -32768 = nodata. An observation is valid where all bands
            are.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.

    Returns:
        The means, dB x 100, int16, rounded, ``(period, band, y, x)``, -32768 where a period has no valid observation.
        And the number of valid observations, uint8, ``(period, y, x)``, at most 255.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    period = np.asarray(period)
    if backscatter.ndim != 4 or backscatter.dtype != np.int16:
        raise ValueError(f"backscatter is {backscatter.dtype} {backscatter.shape}; expected int16 (scene, band, y, x)")
    n_scenes, n_bands, height, width = backscatter.shape
    if period.shape != (n_scenes,):
        raise ValueError(f"period has the shape {period.shape}; expected {(n_scenes,)}")
    if n_scenes and (period.min() < 0 or period.max() >= n_periods):
        raise ValueError(f"periods run from {period.min()} to {period.max()}; expected 0 to {n_periods - 1}")
    composite = np.empty((n_periods, n_bands, height, width), dtype=np.int16)
    observations = np.empty((n_periods, height, width), dtype=np.uint8)
    scenes = np.argsort(period, kind="stable")
    starts = np.searchsorted(period[scenes], np.arange(n_periods + 1))
    _means(np.ascontiguousarray(backscatter), scenes, starts, power_table(), composite, observations)
    return composite, observations


def first_valid(backscatter: NDArray[np.int16], passes: NDArray[np.int64]) -> NDArray[np.int16]:
    """Put the slices of each pass together: each pixel of the first slice in which all bands are valid.

    Args:
        backscatter: dB x 100, int16, ``(scene, band, y, x)``, -32768 = nodata; scenes in order of time.
        passes: Pass of each scene, int, ``(scene,)``, numbered from 0 without a gap.

    Returns:
        dB x 100, int16, ``(pass, band, y, x)``; the input itself where every pass is one scene.
    """
    if np.array_equal(passes, np.arange(len(passes))):
        return backscatter
    merged = np.full((int(passes.max()) + 1, *backscatter.shape[1:]), NODATA, dtype=np.int16)
    for scene, target in zip(backscatter, passes, strict=True):
        take = (merged[target] == NODATA).any(axis=0) & (scene != NODATA).all(axis=0)
        np.copyto(merged[target], scene, where=take)
    return merged


def normalise(backscatter: NDArray[np.int16], angle: NDArray[np.uint16], reference_degrees: float) -> NDArray[np.int16]:
    """Bring sigma0 to one angle of incidence: what scatters like a rough surface falls off with the cosine's square.

    Args:
        backscatter: sigma0, dB x 100, int16, ``(scene, band, y, x)``; -32768 = nodata.
        angle: Angle of incidence to the ellipsoid, degrees x 100, uint16, ``(scene, y, x)``; 0 = nodata.
        reference_degrees: The angle that values are brought to.

    Returns:
        sigma0 x cos^2(reference) / cos^2(angle) in dB x 100, int16, rounded, nodata also where the angle is unknown.

    Source:
        Mladenova et al. (2013), https://doi.org/10.1109/TGRS.2012.2205264: the cosine correction, power 2.
    """
    degrees = np.arange(65536) / 100
    usable = (degrees > 0) & (degrees * 100 <= _LARGEST_ANGLE)
    cosines = np.cos(np.radians(np.where(usable, degrees, 0)))
    shift = np.rint(2000 * np.log10(np.cos(np.radians(reference_degrees)) / cosines)).astype(np.int16)
    known = usable[angle][:, np.newaxis]
    moved = backscatter + shift[angle][:, np.newaxis]
    return np.where((backscatter != NODATA) & known, moved, NODATA).astype(np.int16)


@compiled
def _count_valid(count: NDArray[np.uint16], valid: NDArray[np.uint8], scene: NDArray[np.int16]) -> None:
    """Find where all bands of a row are valid, ``scene`` being ``(band, x)``, and add it to the counts."""
    n_bands, width = scene.shape
    for x in range(width):
        valid[x] = 1
    for band in range(n_bands):
        for x in range(width):
            valid[x] &= np.uint8(scene[band, x] != NODATA)
    for x in range(width):
        count[x] += valid[x]


@compiled
def _add(
    total: NDArray[np.float64], row: NDArray[np.int16], valid: NDArray[np.uint8], table: NDArray[np.float32]
) -> None:
    for x in range(row.size):
        if valid[x]:
            total[x] += table[np.int64(row[x]) + 32768]


@compiled
def _decibel(out: NDArray[np.int16], total: NDArray[np.float64], count: NDArray[np.uint16]) -> None:
    for x in range(out.size):
        if count[x] > 0:
            out[x] = np.int16(np.floor(1000.0 * np.log10(total[x] / count[x]) + 0.5))
        else:
            out[x] = NODATA


@compiled
def _means(
    backscatter: NDArray[np.int16],
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    table: NDArray[np.float32],
    composite: NDArray[np.int16],
    observations: NDArray[np.uint8],
) -> None:
    n_periods, n_bands, height, width = composite.shape
    total = np.empty((n_bands, width), dtype=np.float64)
    count = np.empty(width, dtype=np.uint16)
    valid = np.empty(width, dtype=np.uint8)
    for y in range(height):
        for p in range(n_periods):
            total[:] = 0.0
            count[:] = 0
            for k in range(starts[p], starts[p + 1]):
                _count_valid(count, valid, backscatter[scenes[k], :, y])
                for band in range(n_bands):
                    _add(total[band], backscatter[scenes[k], band, y], valid, table)
            for band in range(n_bands):
                _decibel(composite[p, band, y], total[band], count)
            for x in range(width):
                observations[p, y, x] = min(count[x], COUNT_MAXIMUM)


def difference(composite: NDArray[np.int16]) -> NDArray[np.int16]:
    """VH-VV of pairs of bands, the logarithm of their ratio.

    Args:
        composite: dB x 100, int16, ``(period, 2, y, x)``, VV and VH; -32768 = nodata.

    Returns:
        dB x 100, int16, ``(period, 1, y, x)``; -32768 = nodata.
    """
    vv, vh = composite[:, :1].astype(np.int32), composite[:, 1:2].astype(np.int32)
    valid = (vv != NODATA) & (vh != NODATA)
    return np.where(valid, vh - vv, NODATA).astype(np.int16)
