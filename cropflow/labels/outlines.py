"""Outlines of parcels: mended, flattened, compared."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def repair(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Make polygons valid and keep nothing but polygons.

    Args:
        geometries: Any geometries, finite, ``(geometry,)``; may be missing.

    Returns:
        The geometries, two-dimensional; polygonal ones are valid, collections are reduced to their
        polygons, points and lines come back as they are. And True where something was mended.
    """
    result, _ = flat(geometries)
    return mended(result, shapely.is_valid(result))


def mended(geometries: NDArray[np.object_], valid: NDArray[np.bool_]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """The same of two-dimensional geometries of which it is known where they are valid."""
    result = geometries.copy()
    kinds = shapely.get_type_id(result)
    invalid = ~valid & (kinds >= 0)
    # Method structure: overlapping parts are merged, where linework would cut the overlap out.
    result[invalid] = shapely.make_valid(result[invalid], method="structure", keep_collapsed=False)
    kinds[invalid] = shapely.get_type_id(result[invalid])
    mixed = kinds == shapely.GeometryType.GEOMETRYCOLLECTION
    result[mixed] = [_polygons_of(collection) for collection in result[mixed]]
    return result, invalid | mixed


def flat(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """A copy without heights and measures, and True where there were any."""
    result = geometries.copy()
    tall = shapely.get_coordinate_dimension(geometries) > 2
    result[tall] = shapely.force_2d(geometries[tall])
    return result, np.asarray(tall, dtype=np.bool_)


def _polygons_of(collection: shapely.GeometryCollection) -> shapely.Geometry:
    """The union of a collection's polygons, nested collections included; the collection where it has none."""
    found: list[shapely.Geometry] = []
    waiting = list(collection.geoms)
    while waiting:
        part = waiting.pop()
        if hasattr(part, "geoms"):
            waiting += list(part.geoms)
        elif isinstance(part, shapely.Polygon) and not part.is_empty:
            found.append(part)
    return shapely.union_all(found) if found else collection


def not_finite(geometries: NDArray[np.object_], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where a coordinate is NaN or infinite; such geometries are never valid, so only those are read."""
    result = np.zeros(len(geometries), dtype=np.bool_)
    suspects = np.flatnonzero(~valid)
    coordinates, owner = shapely.get_coordinates(geometries[suspects], return_index=True)
    result[suspects[np.unique(owner[~np.isfinite(coordinates).all(axis=1)])]] = True
    return result


def canonical(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Bytes that are equal where outlines are, wherever their rings start and whichever way they turn."""
    return np.asarray(shapely.to_wkb(shapely.normalize(geometries)), dtype=object)
