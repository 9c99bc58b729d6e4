"""One crop map of all sites of a place, block by block, empty blocks unstored."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_file
from cropflow.files.rasters import BLOCK, grid_of, overview_count
from cropflow.maps.labelling import Colour
from cropflow.regions.grid import Grid, snapped_grid

logger = logging.getLogger(__name__)

# At 10 m this is 400 km: sites farther apart share no useful picture, and a viewer opens them one by one.
LARGEST_SIDE = 40_000


def mosaic_grid(grids: Mapping[str, Grid]) -> Grid:
    """The grid that covers all sites, in the zone of most sites (the lowest code where they tie).

    Sites of that zone keep their pixels: their grids share the multiples of the pixel size.

    Raises:
        CropflowError: If the sites have different pixel sizes.
    """
    sizes = sorted({grid.pixel_m for grid in grids.values()})
    if len(sizes) > 1:
        raise CropflowError(f"The sites have pixels of {sizes} m; expected one size. Map them as separate regions.")
    zones = Counter(grid.epsg for grid in grids.values())
    epsg = min(zones, key=lambda zone: (-zones[zone], zone))
    corners = np.array(
        [
            grid.bounds
            if grid.epsg == epsg
            else transform_bounds(f"EPSG:{grid.epsg}", f"EPSG:{epsg}", *grid.bounds, densify_pts=21)
            for grid in grids.values()
        ]
    )
    xmin, ymin = corners[:, :2].min(axis=0)
    xmax, ymax = corners[:, 2:].max(axis=0)
    return snapped_grid((float(xmin), float(ymin), float(xmax), float(ymax)), epsg, sizes[0])


def write_mosaic(path: Path, sites: Mapping[str, Path], colours: Mapping[int, Colour]) -> Grid | None:
    """Write the crop maps of all sites as one COG.

    Where sites overlap, the first by name is on top. Sites of other zones are warped by nearest neighbour.

    Args:
        path: The COG to write.
        sites: Site -> its crop map.
        colours: Colour table, id -> RGBA.

    Returns:
        The grid of the mosaic; None where its sides would exceed ``LARGEST_SIDE`` and nothing was written.

    Raises:
        CropflowError: If the sites have different pixel sizes.
    """
    grids, nodata, dtype = {}, None, None
    for site, source in sorted(sites.items()):
        with rasterio.open(source) as raster:
            grids[site] = grid_of(raster, source)
            nodata, dtype = raster.nodata, raster.dtypes[0]
    grid = mosaic_grid(grids)
    if max(grid.shape) > LARGEST_SIDE:
        logger.warning(
            "no mosaic: %d sites span %d x %d pixels, more than %d a side; use the maps of the sites",
            len(sites),
            *grid.shape,
            LARGEST_SIDE,
        )
        return None
    # A COG is written in one go, from a tiled file that is filled site by site.
    with TemporaryDirectory(dir=path.parent, prefix=".mosaic-") as scratch, atomic_file(path) as finished:
        tiles = Path(scratch) / "tiles.tif"
        with rasterio.open(
            tiles,
            "w+",
            driver="GTiff",
            dtype=dtype,
            count=1,
            height=grid.height,
            width=grid.width,
            crs=f"EPSG:{grid.epsg}",
            transform=grid.transform,
            nodata=nodata,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="DEFLATE",
            sparse_ok=True,
            bigtiff="IF_SAFER",
        ) as mosaic:
            mosaic.write_colormap(1, dict(colours))
            for _, source in sorted(sites.items()):
                _paste(mosaic, source, grid)
        copy_raster(
            tiles,
            finished,
            driver="COG",
            compress="DEFLATE",
            blocksize=BLOCK,
            overview_resampling="NEAREST",
            overview_count=overview_count(grid),
            resampling="NEAREST",
            sparse_ok=True,
            bigtiff="IF_SAFER",
            num_threads=1,
        )
    return grid


def _paste(mosaic: rasterio.io.DatasetWriter, source: Path, grid: Grid) -> None:
    """Write a site's map where the mosaic is still empty, one row of blocks at a time."""
    with (
        rasterio.open(source) as raster,
        WarpedVRT(
            raster,
            crs=f"EPSG:{grid.epsg}",
            transform=grid.transform,
            height=grid.height,
            width=grid.width,
            resampling=Resampling.nearest,
        ) as warped,
    ):
        left, bottom, right, top = (
            raster.bounds
            if raster.crs.to_epsg() == grid.epsg
            else transform_bounds(raster.crs, f"EPSG:{grid.epsg}", *raster.bounds, densify_pts=21)
        )
        first = max(int((left - grid.xmin) // grid.pixel_m), 0)
        last = min(int(-((grid.xmin - right) // grid.pixel_m)), grid.width)
        upper = max(int((grid.ymax - top) // grid.pixel_m), 0)
        lower = min(int(-((bottom - grid.ymax) // grid.pixel_m)), grid.height)
        # Rows of blocks, so that memory holds a strip of one site and no block of it is written twice.
        for row in range(upper - upper % BLOCK, lower, BLOCK):
            window = Window(first, row, last - first, min(BLOCK, grid.height - row))
            below = mosaic.read(1, window=window)
            values = warped.read(1, window=window)
            mosaic.write(np.where(below == mosaic.nodata, values, below), 1, window=window)
