"""Composites of whole observations: of each period one scene is chosen per pixel, and all bands are taken from it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled
from cropflow.composites.inputs import count_observations, flat_blocks

# Pixels that are worked on together; sums of distances take four times the room of reflectance.
SEGMENT = 256


def medoid(
    reflectance: NDArray[np.uint16], valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Take the observation with the least sum of distances to the others of its period, all bands together.

    Distances are Euclidean, rounded to 1/256 of a unit of reflectance x 10000: their sums are exact whatever the
    order, so of observations that lie equally near the earliest in the order of the scenes is taken.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.

    Returns:
        The composite, uint16, ``(period, band, y, x)``, 0 where a period has no valid observation; and the number of
        valid observations, uint8, ``(period, y, x)``, at most 255.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.

    Source:
        Flood (2013), https://doi.org/10.3390/rs5126481.
    """
    values, marks, scenes, starts = flat_blocks(reflectance, valid, period, n_periods)
    chosen = np.full((n_periods, values.shape[2]), -1, dtype=np.int32)
    _choose_medoid(values, marks, scenes, starts, chosen)
    return _composite(reflectance, chosen), count_observations(valid, period, n_periods)


def max_ndvi(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    period: NDArray[np.int64],
    n_periods: int,
    red: int,
    nir: int,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Take the observation with the highest NDVI of its period; of equal ones the earliest in the order of the scenes.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``; not 0 where valid.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.
        red: Position of the red band, B04.
        nir: Position of the near-infrared band, B08.

    Returns:
        Composite and observations, see :func:`medoid`.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    values, marks, scenes, starts = flat_blocks(reflectance, valid, period, n_periods)
    chosen = np.full((n_periods, values.shape[2]), -1, dtype=np.int32)
    _choose_greenest(values, marks, scenes, starts, red, nir, chosen)
    return _composite(reflectance, chosen), count_observations(valid, period, n_periods)


def darken_pairs(
    composite: NDArray[np.uint16],
    observations: NDArray[np.uint8],
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    period: NDArray[np.int64],
    blue: int,
) -> None:
    """Where exactly two observations are left, put the one with the lower blue into the composite, in place.

    The mean of two is half a cloud where the mask missed one; clouds are bright in the blue. Of equal ones the
    earliest in the order of the scenes is taken.

    Args:
        composite: Reflectance x 10000, uint16, ``(period, band, y, x)``, contiguous.
        observations: Valid observations, uint8, ``(period, y, x)``.
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        blue: Position of the blue band, B02.

    Raises:
        ValueError: If shapes or dtypes do not match, a period is outside those of the composite, or the composite
            is not contiguous.
    """
    n_periods = composite.shape[0]
    values, marks, scenes, starts = flat_blocks(reflectance, valid, period, n_periods)
    chosen = np.full((n_periods, values.shape[2]), -1, dtype=np.int32)
    _choose_darkest(values, marks, scenes, starts, blue, chosen)
    chosen[observations.reshape(chosen.shape) != 2] = -1
    # A copy would take the pairs and be lost; this fails instead.
    _take(values, chosen, np.reshape(composite, (n_periods, *values.shape[1:]), copy=False))


def _composite(reflectance: NDArray[np.uint16], chosen: NDArray[np.int32]) -> NDArray[np.uint16]:
    n_scenes, n_bands, height, width = reflectance.shape
    composite = np.zeros((len(chosen), n_bands, height * width), dtype=np.uint16)
    _take(np.ascontiguousarray(reflectance).reshape(n_scenes, n_bands, height * width), chosen, composite)
    return composite.reshape(len(chosen), n_bands, height, width)


@compiled
def _take(values: NDArray[np.uint16], chosen: NDArray[np.int32], composite: NDArray[np.uint16]) -> None:
    """Put all bands of the chosen scenes into the composite; -1 leaves what it holds."""
    n_periods, n_bands, pixels = composite.shape
    for p in range(n_periods):
        for band in range(n_bands):
            for x in range(pixels):
                scene = chosen[p, x]
                if scene >= 0:
                    composite[p, band, x] = values[scene, band, x]


@compiled
def _prefer(
    least: NDArray[np.float64],
    chosen: NDArray[np.int32],
    cost: NDArray[np.float64] | NDArray[np.uint16],
    valid: NDArray[np.bool_],
    scene: int,
) -> None:
    """Choose a scene where it is valid and costs less than what was chosen before."""
    for x in range(chosen.size):
        better = valid[x] & (cost[x] < least[x])
        least[x] = cost[x] if better else least[x]
        chosen[x] = scene if better else chosen[x]


@compiled
def _add_squares(total: NDArray[np.float64], a: NDArray[np.uint16], b: NDArray[np.uint16]) -> None:
    for x in range(total.size):
        difference = np.float64(a[x]) - np.float64(b[x])
        total[x] += difference * difference


@compiled
def _add_distances(
    squares: NDArray[np.float64],
    valid_a: NDArray[np.bool_],
    valid_b: NDArray[np.bool_],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
) -> None:
    """Add the distance of two observations to the sums of both, where both are valid."""
    for x in range(squares.size):
        distance = math.floor(math.sqrt(squares[x]) * 256.0 + 0.5) if valid_a[x] & valid_b[x] else 0
        a[x] += distance
        b[x] += distance


@compiled
def _choose_medoid(
    values: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    chosen: NDArray[np.int32],
) -> None:
    n_bands, pixels = values.shape[1:]
    most = 1
    for p in range(len(starts) - 1):
        most = max(most, starts[p + 1] - starts[p])
    sums = np.empty((most, SEGMENT), dtype=np.float64)
    squares = np.empty(SEGMENT, dtype=np.float64)
    least = np.empty(SEGMENT, dtype=np.float64)
    seen = np.empty(most, dtype=np.int64)
    for left in range(0, pixels, SEGMENT):
        right = min(left + SEGMENT, pixels)
        n = right - left
        for p in range(len(starts) - 1):
            size = 0
            for k in range(starts[p], starts[p + 1]):
                if valid[scenes[k], left:right].any():
                    seen[size] = scenes[k]
                    sums[size] = 0.0
                    size += 1
            for i in range(size):
                a = seen[i]
                for j in range(i + 1, size):
                    b = seen[j]
                    squares[:n] = 0.0
                    for band in range(n_bands):
                        _add_squares(squares[:n], values[a, band, left:right], values[b, band, left:right])
                    _add_distances(squares[:n], valid[a, left:right], valid[b, left:right], sums[i, :n], sums[j, :n])
            least[:n] = np.inf
            for i in range(size):
                _prefer(least[:n], chosen[p, left:right], sums[i, :n], valid[seen[i], left:right], seen[i])


@compiled
def _choose_darkest(
    values: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    band: int,
    chosen: NDArray[np.int32],
) -> None:
    """Choose the scene with the least value of one band."""
    least = np.empty(chosen.shape[1], dtype=np.float64)
    for p in range(len(starts) - 1):
        least[:] = np.inf
        for k in range(starts[p], starts[p + 1]):
            scene = scenes[k]
            _prefer(least, chosen[p], values[scene, band], valid[scene], scene)


@compiled
def _choose_greenest(
    values: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    scenes: NDArray[np.int64],
    starts: NDArray[np.int64],
    red: int,
    nir: int,
    chosen: NDArray[np.int32],
) -> None:
    """Choose the scene with the highest NDVI; fractions are compared by products, which are exact."""
    pixels = chosen.shape[1]
    difference = np.empty(pixels, dtype=np.float64)
    total = np.empty(pixels, dtype=np.float64)
    for p in range(len(starts) - 1):
        # -2, less than any NDVI.
        difference[:] = -2.0
        total[:] = 1.0
        for k in range(starts[p], starts[p + 1]):
            scene = scenes[k]
            for x in range(pixels):
                r, i = np.float64(values[scene, red, x]), np.float64(values[scene, nir, x])
                better = valid[scene, x] & ((i - r) * total[x] > difference[x] * (i + r))
                difference[x] = i - r if better else difference[x]
                total[x] = i + r if better else total[x]
                chosen[p, x] = scene if better else chosen[p, x]
