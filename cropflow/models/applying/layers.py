"""The parcels of a site as models of parcels need them: from samples, or from outlines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cropflow.files.rasters import read_raster
from cropflow.models.applying.parcels import ParcelLayers
from cropflow.regions.grid import Grid
from cropflow.samples.labels import IGNORE

if TYPE_CHECKING:
    import geopandas


def lay_out(parcels: geopandas.GeoDataFrame, grid: Grid, inner_buffer_m: float) -> ParcelLayers:
    """Rasterise the parcels of a site as samples are.

    Args:
        parcels: ``index`` (1..n), ``cut`` and geometry, in the CRS of the grid.
        grid: The pixel grid.
        inner_buffer_m: Width of the rim, metres.
    """
    from cropflow.samples.rasters import rasterise_interiors, rasterise_parcels

    burnt = rasterise_parcels(parcels, grid)
    return ParcelLayers(burnt, rasterise_interiors(parcels, burnt, grid, inner_buffer_m).interior)


def layers_of_samples(folder: Path) -> ParcelLayers:
    """Read the parcels of a site from its samples.

    Args:
        folder: Folder of the site in a folder of samples, with ``parcels.tif`` and ``crops.tif``.
    """
    index, crops = (read_raster(folder / f"{name}.tif")[0][0] for name in ("parcels", "crops"))
    # Of the pixels of parcels, rims alone are to be ignored.
    return ParcelLayers(index.astype(np.uint32), (index > 0) & (crops != IGNORE))
