"""Composite a site block by block: all dates of a few pixels at a time, never a whole cube."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.gaps import fill_gaps
from cropflow.composites.masking import check_scl
from cropflow.composites.reducers import reduce_scenes
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


def read_scenes(array: Any, seen: NDArray[np.int64], window: Window) -> NDArray[Any]:
    """Read one window of some scenes.

    Args:
        array: Zarr array ``(scene, ..., y, x)``.
        seen: Positions of the scenes, ascending, int.
        window: Rows and columns of the window.
    """
    if len(seen) == array.shape[0]:
        # A plain slice lets chunks be unpacked where they belong, in half the time of a selection.
        whole: NDArray[Any] = array[(slice(None), ..., *window)]
        return whole
    between = [slice(None)] * (array.ndim - 3)
    some: NDArray[Any] = array.get_orthogonal_selection((seen, *between, *window))
    return some


def composite_window(
    scenes: Any,
    window: Window,
    period: NDArray[np.int64],
    n_periods: int,
    series: Series,
    bands: Sequence[str],
    site: str,
) -> Block:
    """Read one window of a site, all dates, composite it and fill its gaps.

    Args:
        scenes: Zarr group of the site with ``reflectance (scene, band, y, x)`` and ``scl (scene, y, x)``.
        window: Rows and columns of the window.
        period: Period of each scene, int, ``(scene,)``; scenes of a negative one are not read.
        n_periods: Number of periods in the season.
        series: Mask, statistic, gap rule and longest gap.
        bands: Names of the bands.
        site: Name of the site, for messages.

    Raises:
        CropflowError: If a scene class exceeds 11.
    """
    rows, columns = window
    seen = np.flatnonzero(period >= 0)
    scl = read_scenes(scenes["scl"], seen, window)
    check_scl(scl, f"site {site}, rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}")
    # The scenes bear no name here, so that their memory is free again before gaps are filled.
    composite, observations = reduce_scenes(
        read_scenes(scenes["reflectance"], seen, window), scl, period[seen], n_periods, series, bands
    )
    if series.fill == "none":
        return Block(composite, observations, np.zeros(observations.shape, dtype=np.bool_))
    filled_composite, filled = fill_gaps(composite, observations, series.max_gap)
    return Block(filled_composite, observations, filled)
