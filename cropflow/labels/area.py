"""Areas and perimeters on the ellipsoid, whatever CRS the parcels come in.

Planar areas depend on the projection: those of Lambert-93 and UTM differ by up to 0.5 % in France,
those of Web Mercator by a factor of two. A projection that keeps areas on the ellipsoid gives the
same figure as a geodesic computation, at the price of one vectorised reprojection; parcels so small
that the scale of their CRS does not change over them are spared even that (:mod:`cropflow.labels.scale`).
"""

from __future__ import annotations

from collections.abc import Iterator

import geopandas
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from cropflow.labels.scale import EQUAL_AREA, local_scale

# A straight edge in the register's CRS is a slightly bent line in another one; only long edges bend
# enough to matter.
LONGEST_EDGE_M = 2_000.0
_M2_PER_HA = 10_000.0
_M_PER_DEGREE = 111_320.0
# Vertices of a country's parcels fill tens of gigabytes; a chunk of them does not.
_CHUNK = 100_000


def _chunks(geometries: geopandas.GeoSeries) -> Iterator[geopandas.GeoSeries]:
    for start in range(0, len(geometries), _CHUNK):
        yield geometries.iloc[start : start + _CHUNK]


def _metres_per_unit(crs: pyproj.CRS) -> float | None:
    """Length of one unit of a projected CRS in metres; None where the units are degrees."""
    if crs.is_geographic:
        return None
    return float(crs.axis_info[0].unit_conversion_factor)


def _on_globe(geometries: geopandas.GeoSeries) -> NDArray[np.bool_]:
    """False where coordinates cannot be degrees although the CRS says so."""
    if not geometries.crs.is_geographic:
        return np.ones(len(geometries), dtype=np.bool_)
    bounds = shapely.bounds(geometries.to_numpy())
    outside = (np.abs(bounds) > np.array([360.0, 90.0, 360.0, 90.0])).any(axis=1)
    return np.asarray(~outside, dtype=np.bool_)


def _densified(geometries: geopandas.GeoSeries) -> geopandas.GeoSeries:
    metres = _metres_per_unit(geometries.crs)
    return geometries.segmentize(LONGEST_EDGE_M / (metres or _M_PER_DEGREE))


def ellipsoidal_area_ha(geometries: geopandas.GeoSeries) -> NDArray[np.float64]:
    """Measure areas on the WGS 84 ellipsoid.

    Args:
        geometries: Polygons and multi-polygons with a geographic or projected CRS. Across the 180th
            meridian either cut there or, in degrees, going on beyond 180 or -180.

    Returns:
        Hectares, float64, ``(geometry,)``, in the order of the input: 0 where a geometry is empty,
        missing, or a line or point; not finite where its coordinates lie outside the CRS.
        Within 0.01 % of the geodesic area for parcels between 80 degrees south and north.

    Raises:
        ValueError: If the geometries have no CRS.
    """
    return measured(geometries)[0]


def measured(geometries: geopandas.GeoSeries) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure areas, and bound mean widths on the way.

    Args:
        geometries: As for :func:`ellipsoidal_area_ha`.

    Returns:
        Areas as of :func:`ellipsoidal_area_ha`; and metres that the mean width, 2 x area / perimeter, is certainly not
        below, NaN where nothing is known, ``(geometry,)``.

    Raises:
        ValueError: If the geometries have no CRS.
    """
    if geometries.crs is None:
        raise ValueError("geometries have no CRS; their area cannot be known")
    found = [_measured(chunk) for chunk in _chunks(geometries)]
    area_m2, width_m = (np.concatenate([np.empty(0), *parts]) for parts in zip(*found, strict=True)) if found else (
        np.empty(0), np.empty(0)
    )  # fmt: skip
    return area_m2 / _M2_PER_HA, width_m


def _measured(chunk: geopandas.GeoSeries) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if chunk.crs.is_geographic:
        return _equal_area(chunk), np.full(len(chunk), np.nan)
    raw = chunk.to_numpy()
    scale, metres, small = local_scale(chunk.crs).at(shapely.bounds(raw))
    area_m2 = shapely.area(raw) * scale
    with np.errstate(invalid="ignore", divide="ignore"):
        width_m = np.where(small, 2 * area_m2 / (metres * shapely.length(raw)), np.nan)
    if not small.all():
        area_m2[~small] = _equal_area(chunk[~small])
    return area_m2, width_m


def _equal_area(chunk: geopandas.GeoSeries) -> NDArray[np.float64]:
    missing, sane = chunk.isna().to_numpy(), _on_globe(chunk)
    # Metres taken for degrees would be cut into thousands of edges each.
    moved = _densified(_turned(chunk.where(sane))).to_crs(EQUAL_AREA).to_numpy()
    # Coordinates that the projection turned into infinities have no area, and no warning is due.
    with np.errstate(invalid="ignore"):
        areas = shapely.area(moved)
    return np.where(missing, 0.0, np.where(sane, areas, np.nan))


def _turned(chunk: geopandas.GeoSeries) -> geopandas.GeoSeries:
    """Outlines in degrees that go on beyond the 180th meridian, turned half around the globe.

    The projection would tear them apart there, and an area does not depend on the longitude.
    """
    if not chunk.crs.is_geographic:
        return chunk
    raw = chunk.to_numpy().copy()
    bounds = shapely.bounds(raw)
    for beyond, turn in ((bounds[:, 2] > 180, -180.0), (bounds[:, 0] < -180, 180.0)):
        raw[beyond] = shapely.transform(raw[beyond], lambda points, turn=turn: points + np.array([turn, 0.0]))
    return geopandas.GeoSeries(raw, index=chunk.index, crs=chunk.crs)


def ellipsoidal_perimeter_m(geometries: geopandas.GeoSeries) -> NDArray[np.float64]:
    """Measure the length of all rings, holes included, along geodesics of the WGS 84 ellipsoid.

    Args:
        geometries: Polygons and multi-polygons with a geographic or projected CRS.

    Returns:
        Metres, float64, ``(geometry,)``, in the order of the input; 0 where a geometry is empty or
        missing; not finite where its coordinates lie outside the CRS.

    Raises:
        ValueError: If the geometries have no CRS.
    """
    if geometries.crs is None:
        raise ValueError("geometries have no CRS; their perimeter cannot be known")
    geod = pyproj.Geod(ellps="WGS84")
    lengths = [_perimeters(chunk.to_crs("EPSG:4326").to_numpy(), geod) for chunk in _chunks(geometries)]
    return np.concatenate([np.empty(0), *lengths])


def narrower(
    geometries: geopandas.GeoSeries, area_ha: NDArray[np.float64], at_least_m: NDArray[np.float64], width_m: float
) -> NDArray[np.bool_]:
    """True where the mean width, 2 x area / perimeter, is below a width.

    Args:
        geometries: Polygons and multi-polygons with a geographic or projected CRS.
        area_ha: Their areas on the ellipsoid, hectares, ``(geometry,)``.
        at_least_m: What :func:`measured` knows of their widths; only where that leaves it open are perimeters measured.
        width_m: Metres.
    """
    result = np.zeros(len(geometries), dtype=np.bool_)
    # A hundredth of a per mille more than areas may be off by.
    left = np.flatnonzero(~(at_least_m > 1.00002 * width_m))
    result[left] = 2 * _M2_PER_HA * area_ha[left] < width_m * ellipsoidal_perimeter_m(geometries.iloc[left])
    return result


def _perimeters(geometries: NDArray[np.object_], geod: pyproj.Geod) -> NDArray[np.float64]:
    parts, geometry_of_part = shapely.get_parts(geometries, return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    corners, ring_of_corner = shapely.get_coordinates(rings, return_index=True)
    inside = ring_of_corner[1:] == ring_of_corner[:-1]
    start, end = corners[:-1][inside], corners[1:][inside]
    _, _, lengths = geod.inv(start[:, 0], start[:, 1], end[:, 0], end[:, 1])
    owner = geometry_of_part[part_of_ring[ring_of_corner[1:][inside]]]
    return np.bincount(owner, weights=lengths, minlength=len(geometries)).astype(np.float64)
