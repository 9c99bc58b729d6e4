"""The share of cropland in squares, from a land-cover map: a measure by which sites are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from cropflow.errors import CropflowError
from cropflow.files.class_rasters import ClassRaster, Span, open_classes

# ESA WorldCover, https://esa-worldcover.org/en/data-access, product user manual: 40 is cropland.
CROPLAND = (40,)
# Points per edge of a square that is carried to the map's CRS, where its edges are curves.
EDGE_POINTS = 21
# Rows that are read at a time, so that a large square of a fine map fits into memory.
_ROWS = 2048


def cropland_share(
    raster: Path | str, squares: geopandas.GeoSeries, values: Sequence[int] = CROPLAND
) -> NDArray[np.float64]:
    """Measure the share of some classes in squares.

    A pixel belongs to a square where its centre does; nodata and what lies beside the map count neither for nor
    against. Pixels count alike: in a map in degrees they differ in area by 0.3 % over 10 km at most, below 60 degrees
    of latitude.

    Args:
        raster: A map of classes such as ESA WorldCover: a local raster, the http(s) address of a COG, or a STAC item
            collection; see :func:`cropflow.files.class_rasters.open_classes`.
        squares: Polygons in any CRS, ``(square,)``.
        values: The classes whose share is asked for.

    Returns:
        Share of the valid pixels, float64 in [0, 1], ``(square,)``; NaN where a square has no valid pixel.

    Raises:
        CropflowError: If the map cannot be read, or the squares have no CRS or cannot be placed on the map.
        ValueError: If no classes are named.
    """
    if not len(values):
        raise ValueError("no classes are named; expected at least one value")
    if squares.crs is None:
        raise CropflowError("The squares have no CRS; expected one, so that they can be placed on the map. Declare it.")
    result = np.full(len(squares), np.nan, dtype=np.float64)
    with open_classes(raster) as classes:
        for position, outline in enumerate(_carried(squares, classes)):
            span = classes.span(outline.bounds)
            valid, wanted = (0, 0) if span is None else _counted(classes, span, outline, values)
            if valid:
                result[position] = wanted / valid
    return result


def _carried(squares: geopandas.GeoSeries, classes: ClassRaster) -> NDArray[np.object_]:
    """The squares in the map's CRS, their edges densified so that they stay true."""
    outlines = squares.to_numpy()
    if (shapely.is_missing(outlines) | shapely.is_empty(outlines)).any():
        raise CropflowError("A square has no outline; expected a polygon each.")
    bounds = shapely.bounds(outlines)
    longest = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    fine = shapely.segmentize(outlines, longest / (EDGE_POINTS - 1))
    to_map = pyproj.Transformer.from_crs(squares.crs, classes.crs, always_xy=True)
    moved: NDArray[np.object_] = shapely.transform(fine, to_map.transform, interleaved=False)
    bounds = shapely.bounds(moved)
    lost = ~np.isfinite(bounds).all(axis=1)
    if classes.crs.is_geographic:
        lost |= bounds[:, 2] - bounds[:, 0] > 180
    if lost.any():
        raise CropflowError(
            f"{int(lost.sum())} of {len(lost)} squares, such as number {int(np.flatnonzero(lost)[0]) + 1}, cannot be "
            f"placed in {classes.crs.name} of {classes.name}; expected squares inside that CRS and on one side of the "
            f"antimeridian. Move them."
        )
    return moved


def _counted(classes: ClassRaster, span: Span, outline: shapely.Polygon, values: Sequence[int]) -> tuple[int, int]:
    """Valid pixels of an outline, and those among them that hold one of the values."""
    valid = wanted = 0
    for row in range(span.row, span.row + span.height, _ROWS):
        part = Span(row, span.column, min(_ROWS, span.row + span.height - row), span.width)
        stored, usable = classes.read(part)
        usable &= geometry_mask([outline], stored.shape, classes.transform_of(part), invert=True)
        valid += int(usable.sum())
        wanted += int(np.isin(stored[usable], list(values)).sum())
    return valid, wanted
