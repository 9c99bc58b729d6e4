"""Parcels on the pixel grid: which parcel, which crop, and the rim that is left out of training."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from cropflow.regions.grid import Grid
from cropflow.samples.kernels.rasterise import burn
from cropflow.samples.labels import IGNORE

# A parcel's edge this close to the site's border was cut there and is no true edge, metres.
BORDER_TOLERANCE_M = 0.01


@dataclass(frozen=True)
class ParcelRasters:
    """The parcels of a site as rasters.

    Attributes:
        parcels: Index of the parcel that holds the pixel's centre, uint32, ``(y, x)``; 0 = none.
        interior: True where the pixel is no rim, bool, ``(y, x)``.
        fallback: Buffer in metres -> parcels that the full buffer would have deleted and that this one kept.
    """

    parcels: NDArray[np.uint32]
    interior: NDArray[np.bool_]
    fallback: dict[float, int]


def rasterise_parcels(parcels: geopandas.GeoDataFrame, grid: Grid) -> NDArray[np.uint32]:
    """Burn the index of each parcel by the pixel-centre rule.

    Where parcels overlap the smaller one is on top (the lower index among equals): a large parcel loses few of its
    pixels, a small one would lose all.

    Args:
        parcels: ``index`` (1..n) and ``geometry`` in the CRS of the grid.
        grid: The pixel grid.

    Returns:
        Index, uint32, ``(y, x)``; 0 = no parcel.
    """
    return _burn(parcels.geometry.to_numpy(), parcels["index"].to_numpy(), parcels.geometry.area.to_numpy(), grid)


def _burn(
    geometries: NDArray[np.object_], index: NDArray[np.integer], area: NDArray[np.float64], grid: Grid
) -> NDArray[np.uint32]:
    """Burn geometries, the largest first; empty ones are skipped."""
    order = np.lexsort((-index.astype(np.int64), -area))
    burnt = np.zeros(grid.shape, dtype=np.uint32)
    burn(geometries[order], index[order].astype(np.uint32), burnt, (grid.xmin, grid.ymax), grid.pixel_m)
    return burnt


def inner_parts(parcels: geopandas.GeoDataFrame, grid: Grid, buffer_m: float) -> NDArray[np.object_]:
    """The part of each parcel that lies at least a buffer away from its true outline.

    The border of the site cuts parcels; the cut is no edge of the parcel, so it gets no rim.

    Args:
        parcels: ``cut`` and ``geometry``, clipped to the grid, in its CRS.
        grid: The pixel grid.
        buffer_m: Width of the rim, metres.

    Returns:
        Polygons, some empty, in the order of the parcels.
    """
    geometries = parcels.geometry.to_numpy()
    inner: NDArray[np.object_] = shapely.buffer(geometries, -buffer_m)
    cut = np.flatnonzero(parcels["cut"].to_numpy(dtype=bool))
    if len(cut) and buffer_m > 0:
        border = shapely.boundary(shapely.box(*grid.bounds)).buffer(BORDER_TOLERANCE_M)
        true_edges = shapely.difference(shapely.boundary(geometries[cut]), border)
        inner[cut] = shapely.difference(geometries[cut], shapely.buffer(true_edges, buffer_m))
    return inner


def rasterise_interiors(
    parcels: geopandas.GeoDataFrame, burnt: NDArray[np.uint32], grid: Grid, buffer_m: float
) -> ParcelRasters:
    """Tell the rim of each parcel from its interior.

    A parcel too narrow for the buffer keeps the pixels of the first smaller one, half, a quarter or none, that
    leaves it any.

    Args:
        parcels: ``index``, ``cut`` and ``geometry`` in the CRS of the grid.
        burnt: Parcel index per pixel, from :func:`rasterise_parcels`.
        grid: The pixel grid.
        buffer_m: Width of the rim, metres.
    """
    interior = np.zeros(grid.shape, dtype=np.bool_)
    fallback: dict[float, int] = {}
    index = parcels["index"].to_numpy()
    area = parcels.geometry.area.to_numpy()
    waiting = np.isin(index, np.unique(burnt))
    for width in (buffer_m, buffer_m / 2, buffer_m / 4, 0.0) if buffer_m > 0 else (0.0,):
        if not waiting.any():
            break
        some = parcels[waiting]
        if width > 0:
            inside = _burn(inner_parts(some, grid, width), index[waiting], area[waiting], grid) == burnt
        else:
            inside = np.isin(burnt, index[waiting])
        inside &= burnt > 0
        interior |= inside
        found = waiting & np.isin(index, np.unique(burnt[inside]))
        if width != buffer_m and found.any():
            fallback[width] = int(found.sum())
        waiting &= ~found
    return ParcelRasters(burnt, interior, fallback)


def crop_raster(rasters: ParcelRasters, crop: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """The label of each pixel.

    Args:
        rasters: The parcels of the site.
        crop: Crop of each parcel by its index, uint16, ``(index,)``; position 0 is what lies outside parcels.

    Returns:
        Label, uint16, ``(y, x)``: crop id, 0 background or out of scope, 65534 unknown, 65535 ignore (rims).
    """
    labels: NDArray[np.uint16] = crop[rasters.parcels]
    labels[(rasters.parcels > 0) & ~rasters.interior] = IGNORE
    return labels
