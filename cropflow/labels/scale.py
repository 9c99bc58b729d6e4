"""How much ground a projected CRS shows at a place: square metres per square unit, and metres per unit.

Both change over tens of kilometres, so that they are measured at the corners of a lattice, once each, and read between
them. A parcel's area is then its planar area times one number instead of a reprojection of every vertex.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

# Cylindrical equal-area on the WGS 84 ellipsoid, world-wide: the area of a parcel does not depend
# on which parcels it is read with, as it would with a projection centred on the data.
EQUAL_AREA = "EPSG:6933"
# Between nodes the scale of Lambert-93 is off by its second derivative, 1e-7 of itself.
STEP_M = 4_000.0
# Cells along a side of a block, which are measured together.
BLOCK = 8
# Relative error that a parcel's size may cause; others are reprojected.
TOLERANCE = 1e-5
# Side of the square that is measured at a node: small against the step, large against the rounding of coordinates.
_SQUARE_M = 1_000.0
# Column numbers reach from -2^30 to 2^30, so that row and column make one whole number.
_ROW = 1 << 31


@dataclass(frozen=True)
class _Cells:
    """Lattice cells measured so far.

    Attributes:
        keys: Row times 2^31 plus column, ascending, ``(cell,)``.
        areal: Square metres on the ellipsoid per square unit at the lower left, lower right, upper left and upper
            right corner; not finite outside the CRS, ``(cell, 4)``.
        linear: At most this many metres per unit, in any direction, ``(cell,)``.
        change: Largest areal scale over the smallest, minus 1, ``(cell,)``.
    """

    keys: NDArray[np.int64]
    areal: NDArray[np.float64]
    linear: NDArray[np.float64]
    change: NDArray[np.float64]

    def find(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Positions of cells by key, and True where a cell is there."""
        at = np.minimum(np.searchsorted(self.keys, keys), max(len(self.keys) - 1, 0))
        return at, self.keys[at] == keys if len(self.keys) else np.zeros(len(keys), dtype=np.bool_)

    def with_(self, other: _Cells) -> _Cells:
        """These cells and others."""
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys)
        parts = ((self.areal, other.areal), (self.linear, other.linear), (self.change, other.change))
        return _Cells(keys[order], *(np.concatenate(part)[order] for part in parts))


class LocalScale:
    """Scale of a projected CRS by place; may be asked by several threads.

    Args:
        crs: A projected CRS.
    """

    def __init__(self, crs: pyproj.CRS) -> None:
        self._metres = float(crs.axis_info[0].unit_conversion_factor)
        self.step = STEP_M / self._metres
        self._to_areas = pyproj.Transformer.from_crs(crs, EQUAL_AREA, always_xy=True)
        self._to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        self._geod = pyproj.Geod(ellps="WGS84")
        self._lock = threading.Lock()
        self._cells = _Cells(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0), np.empty(0))

    def at(self, bounds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Scale at the middle of parcels.

        Args:
            bounds: Of the parcels, in units of the CRS, ``(parcel, 4)``; may hold NaN.

        Returns:
            Square metres per square unit; a bound, from above, of metres per unit; and True where both hold for the
            whole parcel to within :data:`TOLERANCE`. All ``(parcel,)``; where the last is False, ignore the others.
        """
        west, south, east, north = bounds.T
        extent = np.maximum(east - west, north - south)
        # Comparisons with NaN are False. Beyond 2^29 steps no CRS has coordinates.
        near = extent < self.step
        for side in (west, south, east, north):
            near &= np.abs(side) < self.step * (1 << 29)
        middle = (
            np.where(near, (west + east) / (2 * self.step), 0.0),
            np.where(near, (south + north) / (2 * self.step), 0.0),
        )
        column, row = np.floor(middle[0]), np.floor(middle[1])
        right, upper = middle[0] - column, middle[1] - row
        cells, cell = self._find(row.astype(np.int64) * _ROW + column.astype(np.int64))
        with np.errstate(invalid="ignore"):
            lower_left, lower_right, upper_left, upper_right = cells.areal[cell].T
            low = lower_left + (lower_right - lower_left) * right
            areal = low + (upper_left + (upper_right - upper_left) * right - low) * upper
            linear = cells.linear[cell]
            near &= cells.change[cell] * extent < TOLERANCE * self.step
        return areal, linear, near & np.isfinite(areal) & np.isfinite(linear)

    def _find(self, keys: NDArray[np.int64]) -> tuple[_Cells, NDArray[np.int64]]:
        """All cells, those of the keys among them, and the position of each key's cell."""
        cells = self._cells
        at, known = cells.find(keys)
        if known.all():
            return cells, at
        with self._lock:
            wanted = np.unique(keys)
            missing = wanted[~self._cells.find(wanted)[1]]
            if len(missing):
                self._cells = self._cells.with_(self._measured(_blocks(missing)))
            return self._cells, self._cells.find(keys)[0]

    def _measured(self, cells: NDArray[np.int64]) -> _Cells:
        corners = np.stack([cells, cells + 1, cells + _ROW, cells + _ROW + 1], axis=1)
        nodes, node_of_corner = np.unique(corners, return_inverse=True)
        areal, linear = self._at_nodes(nodes)
        areal, linear = areal[node_of_corner.reshape(-1, 4)], linear[node_of_corner.reshape(-1, 4)]
        with np.errstate(invalid="ignore"):
            change = areal.max(axis=1) / areal.min(axis=1) - 1
        return _Cells(cells, areal, linear.max(axis=1), change)

    def _at_nodes(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Areal scale, and the bound of the linear one, at lattice points."""
        row, column = _row_and_column(keys)
        half = _SQUARE_M / self._metres / 2
        x, y = column * self.step, row * self.step
        corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
        with np.errstate(invalid="ignore"):
            u, v = (np.array(part) for part in zip(*(self._to_areas.transform(*c) for c in corners), strict=True))
            area = np.abs((u[0] - u[2]) * (v[1] - v[3]) - (u[1] - u[3]) * (v[0] - v[2])) / 2
            places = [self._to_degrees.transform(*c) for c in (corners[0], corners[1], corners[3])]
            across = self._metres_between(places[0], places[1])
            along = self._metres_between(places[0], places[2])
        side = 2 * half
        # No direction is longer than both of two perpendicular ones together; a hundredth for the change over a cell.
        return area / side**2, 1.01 * np.hypot(across, along) / side

    def _metres_between(
        self, start: tuple[NDArray[np.float64], ...], end: tuple[NDArray[np.float64], ...]
    ) -> NDArray[np.float64]:
        sane = np.asarray(np.isfinite([*start, *end]).all(axis=0), dtype=np.bool_).reshape(-1)
        result = np.full(len(sane), np.nan)
        result[sane] = self._geod.inv(start[0][sane], start[1][sane], end[0][sane], end[1][sane])[2]
        return result


def _row_and_column(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    column = (keys + _ROW // 2) % _ROW - _ROW // 2
    return (keys - column) // _ROW, column


def _blocks(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """All cells of the square blocks in which some cells lie: neighbours share corners, and are asked for as well."""
    row, column = _row_and_column(cells)
    corners = np.unique(row // BLOCK * BLOCK * _ROW + column // BLOCK * BLOCK)
    steps = np.arange(BLOCK)
    return np.asarray(corners[:, None, None] + steps[:, None] * _ROW + steps).reshape(-1)


@functools.lru_cache(maxsize=8)
def local_scale(crs: pyproj.CRS) -> LocalScale:
    """The scale of a projected CRS, with what has been measured of it so far."""
    return LocalScale(crs)
