"""What all reducers ask of their inputs, and the observations that they count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNT_MAXIMUM = 255


def check_blocks(reflectance: NDArray[np.uint16], period: NDArray[np.int64], n_periods: int) -> None:
    """Refuse scenes that no reducer takes.

    Raises:
        ValueError: If shape or dtype do not match, or a period is outside ``0 <= period < n_periods``.
    """
    if reflectance.ndim != 4 or reflectance.dtype != np.uint16:
        raise ValueError(f"reflectance is {reflectance.dtype} {reflectance.shape}; expected uint16 (scene, band, y, x)")
    n_scenes = reflectance.shape[0]
    if period.shape != (n_scenes,):
        raise ValueError(f"period has the shape {period.shape}; expected {(n_scenes,)}")
    if n_scenes and (period.min() < 0 or period.max() >= n_periods):
        raise ValueError(f"periods run from {period.min()} to {period.max()}; expected 0 to {n_periods - 1}")


def check_mask(
    reflectance: NDArray[np.uint16], mask: NDArray[np.bool_] | NDArray[np.uint8], dtype: type[np.generic], name: str
) -> None:
    """Refuse a mask of other scenes or pixels, or of another dtype.

    Raises:
        ValueError: If shape or dtype do not match.
    """
    expected = (reflectance.shape[0], *reflectance.shape[2:])
    if mask.shape != expected or mask.dtype != dtype:
        raise ValueError(f"{name} is {mask.dtype} {mask.shape}; expected {np.dtype(dtype)} {expected}")


def by_period(period: NDArray[np.int64], n_periods: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order scenes by period.

    Returns:
        The scenes, those of a period in their order, int, ``(scene,)``; and where each period starts in them, the end
        last, int, ``(period + 1,)``.
    """
    scenes = np.argsort(period, kind="stable")
    return scenes, np.searchsorted(period[scenes], np.arange(n_periods + 1))


def flat_blocks(
    reflectance: NDArray[np.uint16], valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
) -> tuple[NDArray[np.uint16], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Check the inputs of a reducer and lay their pixels into one dimension.

    Returns:
        Reflectance, ``(scene, band, pixel)``; valid, ``(scene, pixel)``; and the two of :func:`by_period`.

    Raises:
        ValueError: If shapes or dtypes do not match, or a period is outside ``0 <= period < n_periods``.
    """
    check_blocks(reflectance, period, n_periods)
    check_mask(reflectance, valid, np.bool_, "valid")
    n_scenes, n_bands, height, width = reflectance.shape
    values = np.ascontiguousarray(reflectance).reshape(n_scenes, n_bands, height * width)
    marks = np.ascontiguousarray(valid).reshape(n_scenes, height * width)
    return values, marks, *by_period(period, n_periods)


def count_observations(valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int) -> NDArray[np.uint8]:
    """Count the valid observations of each period, uint8, ``(period, y, x)``, at most 255."""
    counts = np.zeros((n_periods, *valid.shape[1:]), dtype=np.uint16)
    for scene, index in enumerate(period):
        counts[index] += valid[scene]
    return np.minimum(counts, COUNT_MAXIMUM).astype(np.uint8)
