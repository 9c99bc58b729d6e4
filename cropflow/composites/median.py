"""The masked median per period, a kernel on integers that runs close to the speed of memory.

Pixels are worked on in segments, all scenes of a period and all bands of each. What is invalid must not move the
median, whatever its number in a pixel: invalid observations become the largest and the smallest value in turn, so the
median of what is valid lies in the middle of all rows, and one network (:mod:`cropflow.composites.networks`) serves
every pixel of a segment.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.inputs import by_period, check_blocks, check_mask
from cropflow.composites.networks import SEGMENT, median_kernel, merge_exchange

# Classes are bits of one word while pixels are masked.
CLASSES = 32


def monthly_median(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    period: NDArray[np.int64],
    n_periods: int,
    workers: int = 1,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Take the median of the valid observations of each period, per band.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``, contiguous (else it is copied). What it
            holds where ``valid`` is False does not matter; 0 (nodata) must not be valid, see
            :func:`cropflow.composites.valid_observations`.
        valid: True where usable, bool, ``(scene, y, x)``.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.
        workers: Threads, each on its own pixels.

    Returns:
        The composite, uint16, ``(period, band, y, x)``, 0 where a period has no valid observation; the median of an
        even count is the mean of the two middle values, halves rounded up. And the number of valid observations,
        uint8, ``(period, y, x)``, at most 255.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    check_blocks(reflectance, period, n_periods)
    check_mask(reflectance, valid, np.bool_, "valid")
    return _median(reflectance, valid.view(np.uint8), (1,), False, period, n_periods, workers)


def masked_median(
    reflectance: NDArray[np.uint16],
    scl: NDArray[np.uint8],
    classes: Collection[int],
    period: NDArray[np.int64],
    n_periods: int,
    workers: int = 1,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Mask and take the median in one go: :func:`valid_observations`, then :func:`monthly_median`.

    Scenes without a clear pixel in a segment are not read there, and the mask of a whole block is never held.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``, contiguous (else it is copied); 0 = nodata.
        scl: Scene classification, uint8, ``(scene, y, x)``, below 32.
        classes: Scene classes that count as clear.
        period: Period that each scene falls into, int, ``(scene,)``, in any order.
        n_periods: Number of periods in the season.
        workers: Threads, each on its own pixels.

    Returns:
        Composite and observations, see :func:`monthly_median`.

    Raises:
        ValueError: If shapes or dtypes do not match, a class is 32 or more, or a period is outside
            ``0 <= period < n_periods``.
    """
    check_blocks(reflectance, period, n_periods)
    check_mask(reflectance, scl, np.uint8, "scl")
    most = max(int(scl.max()) if scl.size else 0, *classes, 0)
    if most >= CLASSES:
        raise ValueError(f"scene classes reach {most}; expected less than {CLASSES}")
    return _median(reflectance, scl, classes, True, period, n_periods, workers)


def _median(
    reflectance: NDArray[np.uint16],
    codes: NDArray[np.uint8],
    classes: Collection[int],
    zeros: bool,
    period: NDArray[np.int64],
    n_periods: int,
    workers: int,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    n_scenes, n_bands, height, width = reflectance.shape
    scenes, starts = by_period(period, n_periods)
    most = int(np.diff(starts).max(initial=1))
    steps = np.array(merge_exchange(most + most % 2), dtype=np.int64)
    clear = np.uint32(sum(1 << code for code in set(classes)))
    pixels = height * width
    composite = np.empty((n_periods, n_bands, pixels), dtype=np.uint16)
    observations = np.empty((n_periods, pixels), dtype=np.uint8)
    reflectance = np.ascontiguousarray(reflectance).reshape(n_scenes, n_bands, pixels)
    codes = np.ascontiguousarray(codes).reshape(n_scenes, pixels)

    def work(first: int, last: int) -> None:
        median_kernel(reflectance, codes, clear, zeros, scenes, starts, steps, composite, observations, first, last)

    segments = -(-pixels // SEGMENT)
    bounds = [min(segments * worker // workers * SEGMENT, pixels) for worker in range(workers + 1)]
    if workers == 1:
        work(0, pixels)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, bounds[:-1], bounds[1:]))
    return composite.reshape(n_periods, n_bands, height, width), observations.reshape(n_periods, height, width)
