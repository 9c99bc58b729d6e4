"""The square blocks that folds are made of, and where they lie on a pixel grid.

A block is named by its UTM zone and its position in multiples of the block size from the origin of the CRS, so that
it is the same ground in every site, season and region.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid
from cropflow.regions.sites import check_overlaps
from cropflow.samples.labels import NO_FOLD

KEY = ["epsg", "block_x", "block_y"]
# Rounding of outlines that are carried between zones.
OVERLAP_HA = 1.0


def blocks_of_sites(sites: Mapping[str, Grid], block_m: float) -> pandas.DataFrame:
    """List the blocks that hold at least one pixel centre of a site.

    Args:
        sites: Site -> grid.
        block_m: Side of a block, metres.

    Returns:
        ``epsg``, ``block_x``, ``block_y``, one row per block, sorted.
    """
    found: set[tuple[int, int, int]] = set()
    for grid in sites.values():
        columns, rows = pixel_blocks(grid, block_m)
        found.update((grid.epsg, int(x), int(y)) for x in np.unique(columns) for y in np.unique(rows))
    return pandas.DataFrame(sorted(found), columns=KEY).astype("int64")


def pixel_blocks(grid: Grid, block_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The block of each column and of each row of a grid, by the pixel's centre.

    Args:
        grid: The pixel grid.
        block_m: Side of a block, metres.

    Returns:
        ``block_x`` of each column, int, ``(x,)``, and ``block_y`` of each row, int, ``(y,)``.
    """
    x, y = _centres(grid)
    return np.floor(x / block_m).astype(np.int64), np.floor(y / block_m).astype(np.int64)


def _centres(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = grid.xmin + (np.arange(grid.width) + 0.5) * grid.pixel_m
    y = grid.ymax - (np.arange(grid.height) + 0.5) * grid.pixel_m
    return x.astype(np.float64), y.astype(np.float64)


def block_size(folds: pandas.DataFrame) -> float:
    """The side of the blocks of a table of folds, metres.

    Raises:
        CropflowError: If the table is empty or holds blocks of several sizes.
    """
    sizes = sorted(set(folds["block_m"])) if "block_m" in folds.columns else []
    if len(sizes) != 1:
        raise CropflowError(
            f"The table of folds holds blocks of {len(sizes)} sizes; expected one in the column block_m. "
            "Run cropflow samples folds again."
        )
    return float(sizes[0])


def boxes(blocks: pandas.DataFrame, block_m: float) -> NDArray[np.object_]:
    """The outlines of blocks, in the CRS of their zone.

    Args:
        blocks: ``block_x`` and ``block_y``.
        block_m: Side of a block, metres.
    """
    x, y = (blocks[name].to_numpy(dtype=float) * block_m for name in ("block_x", "block_y"))
    outlines: NDArray[np.object_] = shapely.box(x, y, x + block_m, y + block_m)
    return outlines


def _lookup(grid: Grid, folds: pandas.DataFrame) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Folds of the blocks around a grid.

    Returns:
        Folds with one more block on every side, ``(block, block)``, and for each row and column of the grid its
        position in it.
    """
    columns, rows = pixel_blocks(grid, block_size(folds))
    left, bottom = int(columns.min()) - 1, int(rows.min()) - 1
    table = np.full((int(rows.max()) - bottom + 2, int(columns.max()) - left + 2), NO_FOLD, dtype=np.uint8)
    here = folds[folds["epsg"] == grid.epsg]
    x = here["block_x"].to_numpy(dtype=np.int64) - left
    y = here["block_y"].to_numpy(dtype=np.int64) - bottom
    near = (x >= 0) & (x < table.shape[1]) & (y >= 0) & (y < table.shape[0])
    table[y[near], x[near]] = here["fold"].to_numpy(dtype=np.uint8)[near]
    return table, rows - bottom, columns - left


def block_fold(grid: Grid, folds: pandas.DataFrame) -> NDArray[np.uint8]:
    """The fold of every pixel's block, no ring left out.

    Args:
        grid: The pixel grid.
        folds: Table of blocks: ``epsg``, ``block_x``, ``block_y``, ``fold``, ``block_m``.

    Returns:
        Fold, uint8, ``(y, x)``; 255 where no block of the table lies.
    """
    table, rows, columns = _lookup(grid, folds)
    return table[rows[:, None], columns[None, :]]


def ring(grid: Grid, folds: pandas.DataFrame, ring_m: float) -> NDArray[np.bool_]:
    """Mark the pixels near a border between blocks of different folds.

    Args:
        grid: The pixel grid.
        folds: Table of blocks, as for :func:`block_fold`.
        ring_m: A pixel is marked where its centre lies less than this from a block of another fold, metres.

    Returns:
        True in the ring, bool, ``(y, x)``.

    Raises:
        CropflowError: If the ring leaves nothing of a block.
    """
    block_m = block_size(folds)
    check_ring(ring_m, block_m)
    table, rows, columns = _lookup(grid, folds)
    own = table[rows[:, None], columns[None, :]]
    x, y = _centres(grid)
    # Distances along x and y to the block that lies -1, 0 or 1 blocks away.
    across = {-1: x % block_m, 0: np.zeros_like(x), 1: block_m - (x % block_m)}
    along = {-1: y % block_m, 0: np.zeros_like(y), 1: block_m - (y % block_m)}
    marked = np.zeros(grid.shape, dtype=np.bool_)
    for up, up_m in along.items():
        for right, across_m in across.items():
            if up == 0 and right == 0:
                continue
            other = table[(rows + up)[:, None], (columns + right)[None, :]]
            near = np.hypot(up_m[:, None], across_m[None, :]) < ring_m
            marked |= near & (other != own) & (other != NO_FOLD) & (own != NO_FOLD)
    return marked


def check_ring(ring_m: float, block_m: float) -> None:
    """Refuse a ring that leaves nothing of a block.

    Raises:
        CropflowError: If twice the ring reaches the side of a block.
    """
    if 2 * ring_m >= block_m or not math.isfinite(ring_m):
        raise CropflowError(
            f"folds.ring_m is {ring_m} m on each side of a border, folds.block_m is {block_m} m; expected a ring "
            "under half a block. Lower ring_m or raise block_m."
        )


def check_block_size(folds: pandas.DataFrame, block_m: float) -> None:
    """Refuse a table of folds that was made for another block size.

    Raises:
        CropflowError: If its blocks are not ``block_m`` metres wide.
    """
    found = block_size(folds)
    if not math.isclose(found, block_m):
        raise CropflowError(
            f"The table of folds holds blocks of {found:g} m; expected folds.block_m = {block_m:g} m. "
            "Run cropflow samples folds again."
        )


def check_zones(sites: Mapping[str, Grid]) -> None:
    """Refuse sites of different UTM zones that overlap: one ground would lie in two blocks, so perhaps in two folds.

    Raises:
        CropflowError: If two such sites share ground.
    """
    for (one, other), shared_ha in check_overlaps(sites).items():
        if sites[one].epsg != sites[other].epsg and shared_ha >= OVERLAP_HA:
            raise CropflowError(
                f"Sites {one} (EPSG:{sites[one].epsg}) and {other} (EPSG:{sites[other].epsg}) share {shared_ha:.1f} "
                "ha; expected sites of different UTM zones apart, or their folds would share ground. Move one."
            )
