"""Composite a site block by block: all dates of a few pixels at a time, never a whole cube."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.axes import Axis
from cropflow.composites.gaps import fill_gaps
from cropflow.composites.indices import Indices, derive_indices
from cropflow.composites.masking import check_scl, clear_observations, halo_pixels, with_halo
from cropflow.composites.median import masked_median
from cropflow.composites.overpasses import first_of_day
from cropflow.composites.reducers import plain_median, reduce_scenes
from cropflow.composites.shadows import shadow_positions
from cropflow.composites.sources import Scenes
from cropflow.composites.tiers import tier
from cropflow.config.imagery import Mask, Series

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
        hazy: With ``mask.tiered``: True where only class 7 was left, bool, ``(period, y, x)``.
        indices: Where any are derived.
    """

    reflectance: NDArray[np.uint16]
    observations: NDArray[np.uint8]
    filled: NDArray[np.bool_]
    hazy: NDArray[np.bool_] | None = None
    indices: Indices | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is written of the block, by the name of the array; the last two dimensions are ``(y, x)``."""
        found: dict[str, NDArray[Any]] = {
            "reflectance": self.reflectance,
            "observations": self.observations,
            "filled": self.filled,
        }
        if self.hazy is not None:
            found["hazy"] = self.hazy
        if self.indices is not None:
            found["indices"] = self.indices.values
        return found

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


def composite_window(site: Scenes, window: Window, axis: Axis, series: Series) -> Block:
    """Read one window of a site, all dates, composite it, fill its gaps and derive its indices.

    Args:
        site: The site: its group has ``reflectance (scene, band, y, x)``, ``scl (scene, y, x)`` and, where it was
            fetched, ``cloud_score (scene, y, x)``.
        window: Rows and columns of the window.
        axis: The periods; scenes of a negative one are not read.
        series: Mask, statistic, gap rule, longest gap and indices.

    Raises:
        CropflowError: If a scene class exceeds 11, or scenes lack what the settings ask for.
    """
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    n_periods, seen = len(axis.calendar), np.flatnonzero(axis.of_scenes >= 0)
    composite = np.empty((n_periods, len(site.bands), *shape), dtype=np.uint16)
    observations = np.empty((n_periods, *shape), dtype=np.uint8)
    hazy = np.zeros(observations.shape, dtype=np.bool_) if series.mask.tiered else None
    for strip in strips(window, bytes_per_row(len(seen), len(site.bands), shape[1])):
        part = slice(strip[0].start - rows.start, strip[0].stop - rows.start)
        # The scenes bear no name here, so that their memory is free again before more is read or gaps are filled.
        composite[:, :, part], observations[:, part], found = _reduce(site, strip, seen, axis, series)
        if hazy is not None and found is not None:
            hazy[:, part] = found
    return finish_block(composite, observations, hazy, series, axis.calendar.middles, site.bands, f"site {site.site}")


def finish_block(
    composite: NDArray[np.uint16],
    observations: NDArray[np.uint8],
    hazy: NDArray[np.bool_] | None,
    series: Series,
    middles: NDArray[np.float64],
    bands: Sequence[str],
    where: str,
) -> Block:
    """Fill the gaps of composites, then derive their indices.

    Args:
        composite: Reflectance x 10000, uint16, ``(period, band, y, x)``; 0 = nodata.
        observations: Valid observations, uint8, ``(period, y, x)``.
        hazy: Where only class 7 was left, bool, ``(period, y, x)``; None where that is not asked for.
        series: Gap rule, longest gap and indices.
        middles: Middle of each period, days, float64, ``(period,)``.
        bands: Names of the bands.
        where: What has the bands, for messages.
    """
    filled = np.zeros(observations.shape, dtype=np.bool_)
    # Dates on which nothing was seen are no periods: acquisitions have no gaps.
    if series.fill != "none" and series.period != "acquisitions":
        composite, filled = fill_gaps(composite, observations, series.max_gap, series.fill, middles)
    indices = derive_indices(composite, bands, series.indices, where) if series.indices else None
    return Block(composite, observations, filled, hazy, indices)


def _reduce(
    site: Scenes, strip: Window, seen: NDArray[np.int64], axis: Axis, series: Series
) -> tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Composite, observations and hazy pixels of a strip."""
    group: Any = site.group
    period, n_periods, mask = axis.of_scenes[seen], len(axis.calendar), series.mask
    rows, columns = strip
    where = f"site {site.site}, rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}"
    if mask == Mask(classes=mask.classes) and not axis.repeated and plain_median(series):
        scl = read_scenes(group["scl"], seen, strip)
        check_scl(scl, where)
        reflectance = read_scenes(group["reflectance"], seen, strip)
        return *masked_median(reflectance, scl, mask.classes, period, n_periods), None
    outer, inner = with_halo(strip, site.grid.shape, halo_pixels(mask, site.grid.pixel_m))
    positions = shadow_positions(site.bands, f"site {site.site}") if mask.shadows else []
    has_score = mask.cloud_score is not None and "cloud_score" in group
    reflectance = read_scenes(group["reflectance"], seen, strip)
    valid, hazy = clear_observations(
        read_scenes(group["scl"], seen, outer),
        reflectance,
        mask,
        site.grid.pixel_m,
        where,
        inner=inner,
        ground=read_bands(group["reflectance"], seen, positions, outer) if positions else None,
        cloud_score=read_scenes(group["cloud_score"], seen, outer) if has_score else None,
    )
    first_of_day(valid, [axis.days[scene] for scene in seen])
    flagged = None
    if hazy is not None:
        valid, flagged = tier(valid, hazy & valid, period, n_periods)
    return *reduce_scenes(reflectance, valid, period, n_periods, series, site.bands), flagged


def read_bands(array: Any, seen: NDArray[np.int64], bands: Sequence[int], window: Window) -> NDArray[Any]:
    """Read some bands of some scenes in one window, in the order asked for: ``(scene, band, y, x)``."""
    order = np.argsort(bands)
    found = array.get_orthogonal_selection((seen, np.asarray(bands)[order], *window))
    return np.ascontiguousarray(found[:, np.argsort(order)])


def bytes_per_row(n_scenes: int, n_bands: int, width: int) -> int:
    """Bytes of one row of all scenes: reflectance, scene classes, and a mask of the same size as these."""
    return n_scenes * width * (2 * n_bands + 2)


def bytes_per_worker(n_scenes: int, n_bands: int) -> int:
    """Bytes of scenes that a worker holds at once, at most."""
    row = bytes_per_row(n_scenes, n_bands, BLOCK)
    return row * min(max(1, MEMORY // max(row, 1)), BLOCK)
