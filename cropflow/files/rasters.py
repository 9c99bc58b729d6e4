"""Cloud-optimised GeoTIFFs on a site's grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_file
from cropflow.regions.grid import Grid

BLOCK = 256


def write_cog(
    path: Path | str,
    values: NDArray[Any],
    grid: Grid,
    nodata: float | None,
    *,
    names: Sequence[str] = (),
    colours: Mapping[int, tuple[int, int, int, int]] | None = None,
    categorical: bool = True,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a COG with overviews, atomically.

    Args:
        path: Where to write.
        values: ``(y, x)`` or ``(band, y, x)`` on the grid.
        grid: The pixel grid.
        nodata: Stored value of pixels without a value.
        names: Band descriptions.
        colours: Colour table, value -> RGBA in 0..255. GeoTIFF keeps one for uint8 and uint16 of one band.
        categorical: Overviews by nearest neighbour (True) or by average (False).
        tags: Extra metadata.

    Raises:
        ValueError: If the shape of ``values`` is not the grid's.
    """
    stack = values[np.newaxis] if values.ndim == 2 else values
    if stack.shape[1:] != grid.shape:
        raise ValueError(f"values have shape {stack.shape[1:]}, the grid {grid.shape}")
    profile = {
        "driver": "GTiff",
        "dtype": stack.dtype.name,
        "count": stack.shape[0],
        "height": grid.height,
        "width": grid.width,
        "crs": f"EPSG:{grid.epsg}",
        "transform": grid.transform,
        "nodata": nodata,
    }
    resampling = "NEAREST" if categorical else "AVERAGE"
    with MemoryFile() as memory:
        with memory.open(**profile) as raster:
            raster.write(stack)
            for index, name in enumerate(names, start=1):
                raster.set_band_description(index, name)
            if colours:
                raster.write_colormap(1, dict(colours))
            if tags:
                raster.update_tags(**tags)
        with memory.open() as raster, atomic_file(path) as temporary:
            copy_raster(
                raster,
                temporary,
                driver="COG",
                compress="DEFLATE",
                predictor="NO" if stack.dtype.itemsize == 1 else "STANDARD",
                blocksize=BLOCK,
                overview_resampling=resampling,
                resampling=resampling,
                overview_count=overview_count(grid),
                num_threads=1,
            )


def overview_count(grid: Grid) -> int:
    """Halvings until a single block holds the image; even the smallest image gets one overview."""
    return max(1, math.ceil(math.log2(max(grid.shape) / BLOCK))) if max(grid.shape) > BLOCK else 1


def read_raster(path: Path | str) -> tuple[NDArray[Any], Grid]:
    """Read a raster that this project wrote.

    Returns:
        Values ``(band, y, x)`` and the grid.

    Raises:
        CropflowError: If the raster has no EPSG code or is not north-up with square pixels.
    """
    with rasterio.open(path) as raster:
        return raster.read(), grid_of(raster, path)


def grid_of(raster: Any, path: Path | str) -> Grid:
    """The grid of an open raster.

    Raises:
        CropflowError: If it has no EPSG code or is not north-up with square pixels.
    """
    transform = raster.transform
    epsg = raster.crs.to_epsg() if raster.crs else None
    if epsg is None:
        raise CropflowError(f"{path} has no EPSG code; expected a projected CRS. Assign one with gdal_edit -a_srs.")
    if transform.b or transform.d or not math.isclose(transform.a, -transform.e):
        raise CropflowError(
            f"{path} has the transform {tuple(transform)[:6]}; expected north-up square pixels. Warp it with gdalwarp."
        )
    return Grid(epsg, transform.c, transform.f, raster.height, raster.width, transform.a)
