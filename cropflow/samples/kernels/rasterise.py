"""Polygons burnt into a raster by the pixel-centre rule, from flat coordinates, without a geometry object per parcel.

GDAL takes a list of geometry objects, several hundred bytes each besides their corners, and walks over all corners of
a polygon in each of its rows. Here the corners of a share of the parcels lie in one array, and each edge is asked for
the rows that it crosses.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import shapely
from numpy.typing import NDArray

# Parcels whose corners are held at a time.
SHARE = 16_384


def burn(
    geometries: NDArray[np.object_],
    values: NDArray[Any],
    raster: NDArray[Any],
    origin: tuple[float, float],
    pixel_m: float,
) -> None:
    """Burn polygons in turn; the later one is on top.

    A pixel belongs to a polygon that holds its centre, holes left out; a centre on an edge belongs to the polygon below
    or on the left, so that of two neighbours exactly one gets it. That is GDAL's rule without ``all_touched``.

    Args:
        geometries: Polygons and multipolygons in metres; empty ones and lines burn nothing, ``(n,)``.
        values: What to write for each, of the raster's dtype, ``(n,)``.
        raster: North-up raster that is written to, ``(y, x)``.
        origin: x of its left and y of its upper edge, metres.
        pixel_m: Side of a pixel, metres.
    """
    for start in range(0, len(geometries), SHARE):
        parts, owner = shapely.get_parts(geometries[start : start + SHARE], return_index=True)
        polygonal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
        parts, owner = parts[polygonal], owner[polygonal]
        parts, owner = parts[~shapely.is_empty(parts)], owner[~shapely.is_empty(parts)]
        if not len(parts):
            continue
        _, corners, (rings, polygons) = shapely.to_ragged_array(parts)
        x = (corners[:, 0] - origin[0]) / pixel_m
        y = (origin[1] - corners[:, 1]) / pixel_m
        _burn(x, y, rings, polygons, values[start : start + SHARE][owner], raster)


@numba.njit(cache=True)
def _burn(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    rings: NDArray[np.int64],
    polygons: NDArray[np.int64],
    values: NDArray[Any],
    raster: NDArray[Any],
) -> None:
    height, width = raster.shape
    first_of_row = np.zeros(1, dtype=np.int64)
    crossings = np.zeros(1, dtype=np.float64)
    for polygon in range(len(polygons) - 1):
        start, stop = rings[polygons[polygon]], rings[polygons[polygon + 1]]
        top = max(0, math.ceil(y[start:stop].min() - 0.5))
        bottom = min(height, math.ceil(y[start:stop].max() - 0.5))
        if bottom <= top:
            continue
        rows = bottom - top
        if len(first_of_row) < rows + 2:
            first_of_row = np.empty(2 * rows + 2, dtype=np.int64)
        first_of_row[: rows + 2] = 0
        # Twice over the edges: how many cross each row of centres, and then where. The sums run one place ahead, so
        # that filling in moves each row's first place to that of the next row.
        for ring in range(polygons[polygon], polygons[polygon + 1]):
            for corner in range(rings[ring], rings[ring + 1] - 1):
                begin, end = _rows(y[corner], y[corner + 1], top, bottom)
                for row in range(begin, end):
                    first_of_row[row - top + 2] += 1
        for row in range(2, rows + 2):
            first_of_row[row] += first_of_row[row - 1]
        total = first_of_row[rows + 1]
        if len(crossings) < total:
            crossings = np.empty(2 * total, dtype=np.float64)
        for ring in range(polygons[polygon], polygons[polygon + 1]):
            for corner in range(rings[ring], rings[ring + 1] - 1):
                begin, end = _rows(y[corner], y[corner + 1], top, bottom)
                if begin >= end:
                    continue
                slope = (x[corner + 1] - x[corner]) / (y[corner + 1] - y[corner])
                for row in range(begin, end):
                    place = first_of_row[row - top + 1]
                    crossings[place] = x[corner] + (row + 0.5 - y[corner]) * slope
                    first_of_row[row - top + 1] = place + 1
        for row in range(rows):
            inside = crossings[first_of_row[row] : first_of_row[row + 1]]
            _sort(inside)
            for pair in range(0, len(inside) - 1, 2):
                left = max(0, math.floor(inside[pair] + 0.5))
                right = min(width, math.floor(inside[pair + 1] + 0.5))
                for column in range(left, right):
                    raster[top + row, column] = values[polygon]


@numba.njit(inline="always")
def _rows(one: float, other: float, top: int, bottom: int) -> tuple[int, int]:
    """Rows whose centres an edge crosses, its upper end included and its lower end not."""
    upper, lower = min(one, other), max(one, other)
    return max(top, math.ceil(upper - 0.5)), min(bottom, math.ceil(lower - 0.5))


@numba.njit(inline="always")
def _sort(values: NDArray[np.float64]) -> None:
    """Sort by insertion: a row crosses two edges, seldom more than ten."""
    for position in range(1, len(values)):
        value = values[position]
        place = position
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1
        values[place] = value
