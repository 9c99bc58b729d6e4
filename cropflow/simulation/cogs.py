"""Small cloud-optimised GeoTIFFs, many of them: the lightest compression and one overview where needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray

from cropflow.regions.grid import Grid

BLOCK = 256
# The COG driver's own rule: no overview where the image is at most this large.
_WITHOUT_OVERVIEW = 512


def write_small_cog(path: Path, values: NDArray[Any], grid: Grid, nodata: float) -> None:
    """Write a COG of one band into a folder that is still private, hence not atomically.

    Args:
        path: Where to write.
        values: ``(y, x)`` on the grid.
        grid: The pixel grid.
        nodata: Stored value of pixels without a value.
    """
    large = max(grid.shape) > _WITHOUT_OVERVIEW
    with rasterio.open(
        path,
        "w",
        driver="COG",
        dtype=values.dtype.name,
        count=1,
        height=grid.height,
        width=grid.width,
        crs=f"EPSG:{grid.epsg}",
        transform=grid.transform,
        nodata=nodata,
        compress="DEFLATE",
        level=1,
        predictor="FLOATING_POINT" if values.dtype.kind == "f" else "NO",
        blocksize=BLOCK,
        overviews="AUTO" if large else "NONE",
        overview_resampling="NEAREST",
        num_threads=1,
    ) as raster:
        raster.write(values, 1)
