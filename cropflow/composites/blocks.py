"""Composite a site block by block: all dates of a few pixels at a time, never a whole cube."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.gaps import fill_gaps
from cropflow.composites.masking import check_scl, valid_observations
from cropflow.composites.median import monthly_median
from cropflow.config.imagery import Series

# Rows and columns of a block, and of the chunks that are written: no two blocks share a chunk.
BLOCK = 256

Window = tuple[slice, slice]


def windows(shape: tuple[int, int], size: int = BLOCK) -> Iterator[Window]:
    """Cut a grid into windows, row by row; the last ones may be smaller.

    Args:
        shape: Rows and columns ``(y, x)`` of the grid.
        size: Rows and columns of a window.
    """
    for top in range(0, shape[0], size):
        for left in range(0, shape[1], size):
            yield slice(top, min(top + size, shape[0])), slice(left, min(left + size, shape[1]))


@dataclass(frozen=True)
class Block:
    """The composites of one block.

    Attributes:
        reflectance: Reflectance x 10000, uint16, ``(period, band, y, x)``; 0 = nodata.
        observations: Valid observations, uint8, ``(period, y, x)``, at most 255.
        filled: True where a value was written without an observation, bool, ``(period, y, x)``.
    """

    reflectance: NDArray[np.uint16]
    observations: NDArray[np.uint8]
    filled: NDArray[np.bool_]

    def counts(self) -> NDArray[np.int64]:
        """Pixels per period: without an observation, of these filled, of these left nodata; ``(3, period)``."""
        missing = (self.observations == 0).sum(axis=(1, 2))
        filled = self.filled.sum(axis=(1, 2))
        return np.stack([missing, filled, missing - filled]).astype(np.int64)


def masked_median(
    reflectance: NDArray[np.uint16],
    scl: NDArray[np.uint8],
    period: NDArray[np.int64],
    n_periods: int,
    series: Series,
    where: str,
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Check and mask the scenes of a block and take their medians.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``; 0 = nodata.
        scl: Scene classification in 0..11, uint8, ``(scene, y, x)``; 0 = nodata.
        period: Period of each scene, int, ``(scene,)``.
        n_periods: Number of periods in the season.
        series: Clear classes.
        where: What the block is called in messages.

    Returns:
        Composite and observations, see :func:`cropflow.composites.monthly_median`.

    Raises:
        CropflowError: If a scene class exceeds 11.
    """
    check_scl(scl, where)
    return monthly_median(reflectance, valid_observations(reflectance, scl, series.mask.classes), period, n_periods)


def composite_window(
    scenes: Any, window: Window, period: NDArray[np.int64], n_periods: int, series: Series, site: str
) -> Block:
    """Read one window of a site, all dates, composite it and fill its gaps.

    Args:
        scenes: Zarr group of the site with ``reflectance (scene, band, y, x)`` and ``scl (scene, y, x)``.
        window: Rows and columns of the window.
        period: Period of each scene, int, ``(scene,)``.
        n_periods: Number of periods in the season.
        series: Clear classes, gap rule and longest gap.
        site: Name of the site, for messages.

    Raises:
        CropflowError: If a scene class exceeds 11.
    """
    rows, columns = window
    # The scenes bear no name here, so that their memory is free again before gaps are filled.
    composite, observations = masked_median(
        scenes["reflectance"][:, :, rows, columns],
        scenes["scl"][:, rows, columns],
        period,
        n_periods,
        series,
        f"site {site}, rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}",
    )
    if series.fill == "none":
        return Block(composite, observations, np.zeros(observations.shape, dtype=np.bool_))
    filled_composite, filled = fill_gaps(composite, observations, series.max_gap)
    return Block(filled_composite, observations, filled)
