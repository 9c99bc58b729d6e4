"""The Sentinel-2 composites of a region in a store: its arrays, written block by block."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.composites.axes import Axis
from cropflow.composites.blocks import BLOCK, Block, Window, bytes_per_worker, composite_window, windows
from cropflow.composites.indices import NODATA
from cropflow.composites.progress import in_threads, tell_periods
from cropflow.composites.sources import Scenes
from cropflow.config.imagery import Series
from cropflow.files.cubes import add_array, add_site
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

Arrays = Mapping[str, zarr.Array[Any]]


def create_arrays(
    store: zarr.Group, site: str, grid: Grid, bands: Sequence[str], series: Series, periods: Mapping[str, Any]
) -> dict[str, zarr.Array[Any]]:
    """Add the group of a site with its arrays, all nodata.

    Args:
        store: The store of the region.
        site: Name of the site.
        grid: Its grid.
        bands: Bands of the composites.
        series: Which indices are derived, and whether hazy pixels are flagged.
        periods: Attributes of the group that tell its periods; ``periods`` among them.

    Returns:
        Name -> array: those of :class:`cropflow.composites.blocks.Block`.
    """
    count = len(periods["periods"])
    group = add_site(store, site, grid, {"bands": list(bands), **periods})
    arrays = {
        "reflectance": add_array(
            group,
            "reflectance",
            ("period", "band", "y", "x"),
            (count, len(bands), *grid.shape),
            "uint16",
            chunks=(count, len(bands), BLOCK, BLOCK),
            attributes={"scale": 0.0001, "nodata": 0},
        )
    }
    flags = {"observations": "uint8", "filled": "bool"} | ({"hazy": "bool"} if series.mask.tiered else {})
    for name, dtype in flags.items():
        shape, chunks = (count, *grid.shape), (count, BLOCK, BLOCK)
        arrays[name] = add_array(group, name, ("period", "y", "x"), shape, dtype, chunks=chunks)
    if series.indices:
        group.attrs["indices"] = list(series.indices)
        arrays["indices"] = add_array(
            group,
            "indices",
            ("period", "index", "y", "x"),
            (count, len(series.indices), *grid.shape),
            "int16",
            chunks=(count, len(series.indices), BLOCK, BLOCK),
            nodata=NODATA,
            attributes={"scale": 0.0001, "nodata": NODATA},
        )
    return arrays


def write_block(arrays: Arrays, window: Window, block: Block) -> None:
    """Write a block to its place in the arrays of a site."""
    for name, values in block.arrays().items():
        arrays[name][(..., *window)] = values


def write_composites(
    store: zarr.Group, sites: Sequence[Scenes], axes: Mapping[str, Axis], series: Series, workers: int
) -> dict[str, Any]:
    """Composite the sites into groups of a store.

    Args:
        store: An empty store.
        sites: The sites of a region.
        axes: Site -> its periods.
        series: The settings.
        workers: Threads; each holds one block.

    Returns:
        Site -> counts for the manifest, see :func:`manifest_counts`.

    Raises:
        CropflowError: If the scenes lack what the settings ask for, or a scene class exceeds 11.
    """
    counts = {}
    for site in sites:
        axis = axes[site.site]
        if not (axis.of_scenes >= 0).any():
            LOG.warning("site %s has no scene: all its composites are nodata", site.site)
        arrays = create_arrays(store, site.site, site.grid, site.bands, series, axis.attributes)
        found = _write_site(site, axis, series, arrays, workers)
        seen = [f"{count} scenes" for count in axis.attributes["scenes"]]
        tell_periods(site.site, axis.calendar.starts, seen, found.pixels, site.grid)
        scenes = {"scenes": len(site.times), "left_out": axis.attributes["left_out"]}
        counts[site.site] = scenes | manifest_counts(found, site.grid, series)
    return counts


@dataclass(frozen=True)
class Counts:
    """What became of the pixels of a block or a site.

    Attributes:
        pixels: Per period those without an observation, filled and left nodata, int, ``(3, period)``.
        hazy: Pixels per period that rest on class 7 alone, int, ``(period,)``.
        clipped: Values of each index beyond its range, int, ``(index,)``.
    """

    pixels: NDArray[np.int64]
    hazy: NDArray[np.int64]
    clipped: NDArray[np.int64]

    def __add__(self, other: Counts) -> Counts:
        """The counts of both."""
        return Counts(self.pixels + other.pixels, self.hazy + other.hazy, self.clipped + other.clipped)


def count_block(block: Block) -> Counts:
    """Count the pixels of a block."""
    hazy = np.zeros(len(block.observations)) if block.hazy is None else block.hazy.sum(axis=(1, 2))
    clipped = np.zeros(0) if block.indices is None else block.indices.clipped
    return Counts(block.counts(), hazy.astype(np.int64), clipped.astype(np.int64))


def manifest_counts(counts: Counts, grid: Grid, series: Series) -> dict[str, Any]:
    """The counts of a site as the manifest tells them; those of a period add up."""
    told: dict[str, Any] = {
        "pixels": grid.height * grid.width,
        "without_observation": counts.pixels[0].tolist(),
        "filled": counts.pixels[1].tolist(),
        "nodata": counts.pixels[2].tolist(),
    }
    if series.mask.tiered:
        told["hazy"] = counts.hazy.tolist()
    if series.indices:
        told["index_values_clipped"] = dict(zip(series.indices, counts.clipped.tolist(), strict=True))
    return told


def _write_site(site: Scenes, axis: Axis, series: Series, arrays: Arrays, workers: int) -> Counts:
    blocks = list(windows(site.grid.shape))
    LOG.info(
        "site %s: %d blocks, %d at once; each holds %d MB of scenes at most",
        site.site, len(blocks), workers, bytes_per_worker(int((axis.of_scenes >= 0).sum()), len(site.bands)) // 10**6,
    )  # fmt: skip

    def work(window: Window) -> Counts:
        block = composite_window(site, window, axis, series)
        write_block(arrays, window, block)
        return count_block(block)

    return reduce(operator.add, in_threads(work, blocks, workers, site.site))
