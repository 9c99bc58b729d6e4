"""Points as small squares: a register that tells where a crop stands, but not how far it reaches.

The square is centred on the point and lies inside the field where the point does not lie near its edge; the field's
outline stays unknown. Its sides run north to south and west to east and are measured on the WGS 84 ellipsoid.
"""

from __future__ import annotations

import logging

import geopandas
import numpy as np
import pyproj
import shapely

logger = logging.getLogger(__name__)


def squares(geometries: geopandas.GeoSeries, side_m: float) -> geopandas.GeoSeries:
    """Turn points into squares.

    Args:
        geometries: Any geometries with a CRS; a third coordinate is dropped.
        side_m: Side of the squares, metres.

    Returns:
        The geometries in the same CRS and order: a point, or a multi-point of one, becomes a square whose area on the
        ellipsoid is within 0.01 % of ``side_m ** 2`` up to 80 degrees of latitude and 1 km of side; everything else,
        points without finite coordinates included, comes back as it is.
    """
    result = geometries.to_numpy().copy()
    single = result.copy()
    lone = (shapely.get_type_id(result) == shapely.GeometryType.MULTIPOINT) & (shapely.get_num_geometries(result) == 1)
    single[lone] = shapely.get_geometry(result[lone], 0)
    is_point = shapely.get_type_id(single) == shapely.GeometryType.POINT
    points = geopandas.GeoSeries(single[is_point], crs=geometries.crs).to_crs("EPSG:4326")
    longitude, latitude = points.x.to_numpy(), points.y.to_numpy()
    placed = np.isfinite(longitude) & np.isfinite(latitude)
    longitude, latitude = longitude[placed], latitude[placed]
    ellipsoid = pyproj.Geod(ellps="WGS84")
    sine = np.sin(np.radians(latitude))
    curvature = 1 - ellipsoid.es * sine**2
    # Radii of curvature along the meridian and across it.
    along = ellipsoid.a * (1 - ellipsoid.es) / curvature**1.5
    across = ellipsoid.a / np.sqrt(curvature)
    north = np.degrees(side_m / 2 / along)
    east = np.degrees(side_m / 2 / (across * np.cos(np.radians(latitude))))
    boxes = shapely.box(longitude - east, latitude - north, longitude + east, latitude + north)
    made = np.flatnonzero(is_point)[placed]
    result[made] = geopandas.GeoSeries(boxes, crs="EPSG:4326").to_crs(geometries.crs).to_numpy()
    logger.info("%d of %d geometries are points; each became a square of %g m", len(made), len(result), side_m)
    return geopandas.GeoSeries(result, index=geometries.index, crs=geometries.crs)
