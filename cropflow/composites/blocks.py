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
# Scenes that a worker holds at once, bytes: those of a block that has more are read strip by strip.
MEMORY = 512 * 2**20

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is written of the block, by the name of the array; the last two dimensions are ``(y, x)``."""
        return {"reflectance": self.reflectance, "observations": self.observations, "filled": self.filled}

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


def strips(window: Window, bytes_per_row: int, memory: int = MEMORY) -> Iterator[Window]:
    """Cut a window into strips of rows whose scenes fit into memory; of one row at least.

    Args:
        window: Rows and columns.
        bytes_per_row: Bytes of a row, all scenes.
        memory: Bytes at most.
    """
    rows, columns = window
    height = max(1, min(memory // max(bytes_per_row, 1), rows.stop - rows.start))
    for top in range(rows.start, rows.stop, height):
        yield slice(top, min(top + height, rows.stop)), columns


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
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    seen = np.flatnonzero(period >= 0)
    composite = np.empty((n_periods, len(bands), *shape), dtype=np.uint16)
    observations = np.empty((n_periods, *shape), dtype=np.uint8)
    for strip in strips(window, bytes_per_row(len(seen), len(bands), shape[1])):
        part = slice(strip[0].start - rows.start, strip[0].stop - rows.start)
        scl = read_scenes(scenes["scl"], seen, strip)
        check_scl(scl, f"site {site}, rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}")
        # The scenes bear no name here, so that their memory is free again before more is read or gaps are filled.
        composite[:, :, part], observations[:, part] = reduce_scenes(
            read_scenes(scenes["reflectance"], seen, strip), scl, period[seen], n_periods, series, bands
        )
    if series.fill == "none":
        return Block(composite, observations, np.zeros(observations.shape, dtype=np.bool_))
    filled_composite, filled = fill_gaps(composite, observations, series.max_gap)
    return Block(filled_composite, observations, filled)


def bytes_per_row(n_scenes: int, n_bands: int, width: int) -> int:
    """Bytes of one row of all scenes: reflectance, scene classes, and a mask of the same size as these."""
    return n_scenes * width * (2 * n_bands + 2)


def bytes_per_worker(n_scenes: int, n_bands: int) -> int:
    """Bytes of scenes that a worker holds at once, at most."""
    row = bytes_per_row(n_scenes, n_bands, BLOCK)
    return row * min(max(1, MEMORY // max(row, 1)), BLOCK)
