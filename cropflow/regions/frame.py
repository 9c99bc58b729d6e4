"""The frame of a sample: all squares whose centre lies in some ground, each in the UTM zone of its centre."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely

from cropflow.errors import CropflowError, listing
from cropflow.regions.grid import Grid, utm_epsg
from cropflow.regions.sites import EDGE_POINTS, GEOGRAPHIC, centre, cut_at_antimeridian, transformer

# More squares are no frame but a mistake in the side or the unit of the bounds.
MOST_SQUARES = 1_000_000
_ZONES = range(1, 61)


def box_ground(bounds: tuple[float, float, float, float], crs: str) -> shapely.Geometry:
    """The ground of a box in EPSG:4326, its edges densified; in degrees it may cross the antimeridian.

    Raises:
        CropflowError: If the CRS does not place the box on Earth.
    """
    xmin, ymin, xmax, ymax = bounds
    if xmax < xmin:
        return cut_at_antimeridian(shapely.box(xmin, ymin, xmax + 360, ymax))
    outline = shapely.box(xmin, ymin, xmax, ymax)
    outline = shapely.segmentize(outline, max(xmax - xmin, ymax - ymin) / (EDGE_POINTS - 1))
    to_geographic = transformer(crs, GEOGRAPHIC)
    moved = shapely.transform(outline, to_geographic.transform, interleaved=False)
    if not (np.abs(shapely.bounds(moved)) <= [180, 90, 180, 90]).all():
        raise CropflowError(
            f"choose.frame.bounds are {list(bounds)}, which {crs} does not place on Earth; expected (xmin, ymin, xmax, "
            "ymax) in that CRS."
        )
    return moved


def read_frame(path: Path | str, layer: str | None, column: str | None) -> geopandas.GeoDataFrame:
    """Read the polygons of a frame.

    Args:
        path: A vector file.
        layer: Its layer, where it holds several.
        column: Column of the strata; none where the frame is one.

    Returns:
        ``geometry`` in EPSG:4326, valid, and ``stratum``, text, where a column is named.

    Raises:
        CropflowError: If the file cannot be read, has no CRS, no polygon, or no such column, or a stratum is missing.
    """
    try:
        table = geopandas.read_file(path, layer=layer) if layer else geopandas.read_file(path)
    except pyogrio.errors.DataLayerError:
        names = listing(name for name, _ in pyogrio.list_layers(path))
        raise CropflowError(f"choose.frame.layer is {layer!r}; {path} has: {names}.") from None
    except pyogrio.errors.DataSourceError as error:
        raise CropflowError(f"choose.frame.path {path} cannot be read ({error}); expected a vector file.") from None
    if "geometry" not in table.columns or table.geometry.isna().all():
        raise CropflowError(f"choose.frame.path {path} holds no geometry; expected polygons.")
    if table.crs is None:
        raise CropflowError(f"choose.frame.path {path} has no CRS; expected one. Declare it with ogr2ogr -a_srs.")
    table = table[table.geometry.notna()].to_crs(GEOGRAPHIC)
    kinds = sorted(set(table.geometry.geom_type) - {"Polygon", "MultiPolygon"})
    if kinds:
        raise CropflowError(f"choose.frame.path {path} holds {listing(kinds)}; expected polygons alone.")
    result = geopandas.GeoDataFrame(geometry=shapely.make_valid(table.geometry.to_numpy()), crs=GEOGRAPHIC)
    if column is None:
        return result
    if column not in table.columns:
        names = listing(name for name in table.columns if name != "geometry")
        raise CropflowError(f"choose.strata.column is {column!r}; {path} has: {names or 'none'}.")
    missing = int(table[column].isna().sum())
    if missing:
        raise CropflowError(
            f"choose.strata.column {column!r} is empty for {missing} of {len(table)} polygons; expected a stratum each."
        )
    return result.assign(stratum=table[column].astype(str).to_numpy())


def frame_squares(ground: shapely.Geometry, side_m: float, pixel_m: float) -> list[Grid]:
    """All squares whose centre lies in some ground, at multiples of their side from the origin of their UTM zone.

    Squares of one zone meet edge to edge; along the border of two zones, where the lattices lean against each other,
    neighbours may share some ground or leave some out, and each counts once, in the zone that holds its centre.

    Args:
        ground: Polygons in EPSG:4326.
        side_m: Side of a square, a multiple of the pixel size, metres.
        pixel_m: Pixel size, metres.

    Raises:
        CropflowError: If the ground has no such square, or more than a million.
    """
    shapely.prepare(ground)
    pixels = round(side_m / pixel_m)
    found: list[Grid] = []
    for zone in _ZONES:
        # Wider than the zone, as some are in Norway and Svalbard: the centre decides to which one a square belongs.
        west = -180 + 6 * (zone - 1)
        for epsg, south, north in ((32600 + zone, -1, 84), (32700 + zone, -80, 1)):
            part = ground.intersection(shapely.box(max(west - 6, -180), south, min(west + 12, 180), north))
            if part.area > 0:
                found += _squares_of_zone(part, epsg, side_m, pixels, pixel_m)
    if not found:
        raise CropflowError(
            f"choose.frame holds no centre of a square of {side_m / 1000:g} km; expected at least one. Widen frame or "
            "lower side_km."
        )
    return found


def _squares_of_zone(part: shapely.Geometry, epsg: int, side_m: float, pixels: int, pixel_m: float) -> list[Grid]:
    to_utm = transformer(GEOGRAPHIC, f"EPSG:{epsg}")
    outline = shapely.segmentize(part, max(0.01, (part.bounds[2] - part.bounds[0]) / 100))
    xmin, ymin, xmax, ymax = shapely.transform(outline, to_utm.transform, interleaved=False).bounds
    columns = np.arange(math.floor(xmin / side_m), math.ceil(xmax / side_m) + 1)
    rows = np.arange(math.floor(ymin / side_m), math.ceil(ymax / side_m) + 1)
    if len(columns) * len(rows) > MOST_SQUARES:
        raise CropflowError(
            f"choose.frame holds about {len(columns) * len(rows)} squares of {side_m / 1000:g} km in EPSG:{epsg}; "
            f"expected at most {MOST_SQUARES}. Raise side_km, or make the frame smaller."
        )
    x, y = (place.ravel() * side_m for place in np.meshgrid(columns, rows))
    to_geographic = transformer(f"EPSG:{epsg}", GEOGRAPHIC)
    longitude, latitude = to_geographic.transform(x + side_m / 2, y + side_m / 2)
    inside = np.flatnonzero(shapely.contains_xy(part, longitude, latitude))
    return [
        Grid(epsg, float(x[at]), float(y[at]) + side_m, pixels, pixels, pixel_m)
        for at in inside
        if utm_epsg(float(longitude[at]), float(latitude[at])) == epsg
    ]


def strata_of(squares: Mapping[str, Grid], polygons: geopandas.GeoDataFrame) -> list[str]:
    """The stratum of each square: that of the polygon in which its centre lies.

    Args:
        squares: Name -> grid; their centres lie in the polygons.
        polygons: ``stratum`` and ``geometry`` in EPSG:4326.

    Raises:
        CropflowError: If a centre lies in polygons of two strata.
    """
    centres = shapely.points([centre(grid) for grid in squares.values()])
    tree = shapely.STRtree(polygons.geometry.to_numpy())
    point, polygon = tree.query(centres, predicate="within")
    pairs = pandas.DataFrame({"square": point, "stratum": polygons["stratum"].to_numpy()[polygon]}).drop_duplicates()
    twice = pairs["square"][pairs["square"].duplicated()]
    if len(twice):
        where = pairs["stratum"][pairs["square"] == twice.iloc[0]]
        raise CropflowError(
            f"{twice.nunique()} of {len(squares)} squares of choose.frame lie in polygons of two strata, such as "
            f"{listing(sorted(where))}; expected strata that do not overlap. Mend choose.frame.path."
        )
    return list(pairs.sort_values("square")["stratum"])
