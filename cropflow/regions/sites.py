"""The sites of a region: each a rectangle of whole pixels in one UTM zone, that of its centre.

A site is never cut: where it reaches over the border of its zone, over the equator or over the antimeridian, it stays
whole in the zone of its centre. Halves of two zones would overlap along the border, where meridians lean against both
grids, and a UTM zone is accurate far beyond the 55 km that a site can reach out of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import geopandas
import pyproj
import shapely
from shapely.geometry import MultiPolygon, Polygon

from cropflow.config.regions import Box, Square
from cropflow.errors import CropflowError
from cropflow.files.tables import read_geotable
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.grid import Grid, snapped_grid, utm_epsg

LOG = logging.getLogger(__name__)

GEOGRAPHIC = "EPSG:4326"
# A site is read scene by scene in one piece: a Sentinel-2 tile, 109.8 km, is the largest that makes sense.
LARGEST_SIDE_M = 110_000.0
# Points per edge when a rectangle is carried to another CRS, where its edges are curves.
EDGE_POINTS = 21
# Overlapping pairs that are named one by one; clusters may have thousands.
MOST_WARNINGS = 5


@cache
def transformer(source: str | pyproj.CRS, target: str | pyproj.CRS) -> pyproj.Transformer:
    """The way from one CRS to another, x or longitude first; kept, because making one takes milliseconds."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def site_grid(name: str, site: Square | Box, pixel_m: float) -> Grid:
    """The pixel grid of a declared site, in the UTM zone of its centre, snapped to multiples of the pixel size.

    A square has ``round(side / pixel)`` pixels a side, so that it differs from the side asked for by half a pixel at
    most, and its centre from the centre asked for by half a pixel in x and in y. A box is covered by whole pixels;
    given in the UTM zone of its centre and on the grid, it is taken as it is.

    Args:
        name: Name of the site, for messages.
        site: The declaration.
        pixel_m: Pixel size, metres.

    Raises:
        CropflowError: If the site lies outside UTM, is smaller than a pixel or larger than a Sentinel-2 tile.
    """
    grid = _square_grid(name, site, pixel_m) if isinstance(site, Square) else _box_grid(name, site, pixel_m)
    side_m = max(grid.shape) * grid.pixel_m
    if side_m > LARGEST_SIDE_M:
        raise CropflowError(
            f"sites.{name} is {side_m / 1000:.1f} km long; expected at most {LARGEST_SIDE_M / 1000:.0f} km. "
            "Split it into several sites."
        )
    return grid


def _square_grid(name: str, square: Square, pixel_m: float) -> Grid:
    longitude, latitude = square.centre
    epsg = utm_epsg(longitude, latitude)
    to_utm = pyproj.Transformer.from_crs(GEOGRAPHIC, f"EPSG:{epsg}", always_xy=True)
    x, y = to_utm.transform(longitude, latitude, errcheck=True)
    pixels = round(square.side_km * 1000 / pixel_m)
    if pixels < 1:
        raise CropflowError(
            f"sites.{name}.side_km is {square.side_km}; expected at least one pixel, {pixel_m / 1000} km."
        )
    # The corner is rounded and the size fixed: covering an unsnapped square would add a row and a column.
    left = round(x / pixel_m - pixels / 2)
    bottom = round(y / pixel_m - pixels / 2)
    return Grid(epsg, left * pixel_m, (bottom + pixels) * pixel_m, pixels, pixels, pixel_m)


def _box_grid(name: str, box: Box, pixel_m: float) -> Grid:
    source = pyproj.CRS.from_user_input(box.crs)
    xmin, ymin, xmax, ymax = box.bounds
    if xmax < xmin:
        xmax += 360  # over the antimeridian
    to_geographic = pyproj.Transformer.from_crs(source, GEOGRAPHIC, always_xy=True)
    longitude, latitude = to_geographic.transform((xmin + xmax) / 2, (ymin + ymax) / 2)
    if box.bounds[2] < box.bounds[0] and longitude > 180:
        longitude -= 360
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        raise CropflowError(
            f"sites.{name}.bounds are {list(box.bounds)}, which {box.crs} does not place on Earth; "
            "expected (xmin, ymin, xmax, ymax) in that CRS."
        )
    epsg = utm_epsg(longitude, latitude)
    target = pyproj.CRS.from_epsg(epsg)
    if source == target or source.to_epsg() == epsg:
        bounds = box.bounds
    else:
        if (source.to_epsg() or 0) // 100 in (326, 327):
            LOG.warning(
                "site %s is declared in %s, but its centre lies in the zone of EPSG:%d and that is taken",
                name, box.crs, epsg,
            )  # fmt: skip
        to_utm = pyproj.Transformer.from_crs(source, target, always_xy=True)
        bounds = to_utm.transform_bounds(xmin, ymin, xmax, ymax, densify_pts=EDGE_POINTS)
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    if min(width, height) < pixel_m:
        raise CropflowError(
            f"sites.{name} is {width:.3g} x {height:.3g} m, smaller than a pixel of {pixel_m:g} m. "
            f"Check its crs, {box.crs}, and the unit of its bounds."
        )
    return snapped_grid(bounds, epsg, pixel_m)


def footprint(grid: Grid, crs: str | pyproj.CRS = GEOGRAPHIC) -> Polygon | MultiPolygon:
    """The outline of a grid in another CRS (x or longitude first), its edges densified so that they stay true.

    In degrees an outline across the antimeridian is cut there into two polygons, both within [-180, 180].
    """
    outline = shapely.box(*grid.bounds)
    longest = max(grid.shape) * grid.pixel_m
    outline = shapely.segmentize(outline, longest / (EDGE_POINTS - 1))
    moved = shapely.transform(outline, transformer(f"EPSG:{grid.epsg}", crs).transform, interleaved=False)
    if pyproj.CRS.from_user_input(crs).is_geographic and moved.bounds[2] - moved.bounds[0] > 180:
        return cut_at_antimeridian(shapely.transform(moved, lambda x, y: (x + 360 * (x < 0), y), interleaved=False))
    return moved


def cut_at_antimeridian(outline: Polygon) -> Polygon | MultiPolygon:
    """Bring an outline whose longitudes run beyond 180 back into [-180, 180], cut in two where it has to be."""
    west = outline.intersection(shapely.box(-180, -90, 180, 90))
    east = outline.intersection(shapely.box(180, -90, 540, 90))
    back = shapely.transform(east, lambda x, y: (x - 360, y), interleaved=False)
    parts = [part for half in (west, back) for part in shapely.get_parts(half) if part.area > 0]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def centre(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of the centre of a grid, degrees."""
    xmin, ymin, xmax, ymax = grid.bounds
    to_geographic = transformer(f"EPSG:{grid.epsg}", GEOGRAPHIC)
    longitude, latitude = to_geographic.transform((xmin + xmax) / 2, (ymin + ymax) / 2)
    return float(longitude), float(latitude)


def other_zones(grid: Grid) -> list[int]:
    """EPSG codes of the UTM zones, besides its own, into which a site reaches."""
    corners = shapely.get_coordinates(footprint(grid))
    found = {utm_epsg(float(x), min(max(float(y), -80.0), 84.0)) for x, y in corners}
    return sorted(found - {grid.epsg})


def place_names(grids: Iterable[Grid]) -> dict[str, Grid]:
    """Name sites by where they lie: the latitude and longitude of the centre in thousandths of a degree.

    A name does not depend on the other sites or on their order, but where two centres lie within some 100 m: the
    second in the order of zone, edges and size gets ``-2``.

    Returns:
        Name such as ``n35123e051457`` -> grid.
    """
    named: dict[str, Grid] = {}
    number: Counter[str] = Counter()
    for grid in sorted(grids, key=lambda grid: (grid.epsg, grid.xmin, grid.ymax, *grid.shape)):
        longitude, latitude = centre(grid)
        name = f"{'ns'[latitude < 0]}{abs(latitude) * 1000:05.0f}{'ew'[longitude < 0]}{abs(longitude) * 1000:06.0f}"
        number[name] += 1
        named[name if number[name] == 1 else f"{name}-{number[name]}"] = grid
    return named


def check_overlaps(grids: Mapping[str, Grid]) -> dict[tuple[str, str], float]:
    """Find sites that share ground: warned about, and refused where two are identical.

    Pixels in an overlap count twice, and parcels too unless the sites were chosen by clusters; folds stay apart,
    because blocks are absolute in a CRS.

    Args:
        grids: Site -> grid.

    Returns:
        Pair of sites -> shared area, hectares, for pairs that share any.

    Raises:
        CropflowError: If two sites have the same grid.
    """
    first: dict[Grid, str] = {}
    for name, grid in grids.items():
        if grid in first:
            raise CropflowError(
                f"Sites {first[grid]} and {name} are the same {grid.height} x {grid.width} pixels in EPSG:{grid.epsg}; "
                "expected different places. Remove one."
            )
        first[grid] = name
    found = overlaps(grids)
    for (one, other), area in list(found.items())[:MOST_WARNINGS]:
        LOG.warning("sites %s and %s share %.1f ha, which count twice", one, other, area)
    if len(found) > MOST_WARNINGS:
        LOG.warning("%d pairs of sites share ground, %.1f ha in all", len(found), sum(found.values()))
    return found


def overlaps(grids: Mapping[str, Grid]) -> dict[tuple[str, str], float]:
    """Pairs of sites that share ground, sorted -> shared area, hectares."""
    names = sorted(grids)
    outlines = [footprint(grids[name]) for name in names]
    left, right = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    pairs = sorted((int(i), int(j)) for i, j in zip(left, right, strict=True) if i < j)
    shared = {(names[i], names[j]): _shared_ha(grids[names[i]], grids[names[j]]) for i, j in pairs}
    return {pair: area for pair, area in shared.items() if area > 0}


def _shared_ha(one: Grid, other: Grid) -> float:
    if one.epsg == other.epsg:
        # Exact on the grid, so that neighbours that share an edge share no ground.
        return float(shapely.box(*one.bounds).intersection(shapely.box(*other.bounds)).area) / 10_000
    common = footprint(one).intersection(footprint(other))
    return float(ellipsoidal_area_ha(geopandas.GeoSeries([common], crs=GEOGRAPHIC))[0])


def sites_table(
    grids: Mapping[str, Grid], columns: Mapping[str, Mapping[str, Any]] | None = None
) -> geopandas.GeoDataFrame:
    """The table of sites as it is stored, sorted by name.

    Args:
        grids: Site -> grid.
        columns: Further columns, each site -> value, such as the design of a sample; geometries in EPSG:4326.

    Returns:
        ``site``, ``epsg``, ``transform`` (six numbers of the affine, metres, upper-left corner), ``height``,
        ``width``, the further columns, and the footprint in EPSG:4326.
    """
    names = sorted(grids)
    return geopandas.GeoDataFrame(
        {
            "site": names,
            "epsg": [grids[name].epsg for name in names],
            "transform": [[float(value) for value in grids[name].transform[:6]] for name in names],
            "height": [grids[name].height for name in names],
            "width": [grids[name].width for name in names],
            **{column: _column([values[name] for name in names]) for column, values in (columns or {}).items()},
        },
        geometry=[footprint(grids[name]) for name in names],
        crs=GEOGRAPHIC,
    )


def _column(values: list[Any]) -> list[Any] | geopandas.GeoSeries:
    return geopandas.GeoSeries(values, crs=GEOGRAPHIC) if isinstance(values[0], shapely.Geometry) else values


def read_sites(path: Path | str) -> dict[str, Grid]:
    """Read the sites of a region.

    Args:
        path: The parquet file that ``cropflow regions sites`` wrote.

    Returns:
        Site -> grid, sorted by name.

    Raises:
        CropflowError: If the file is missing.
    """
    if not Path(path).is_file():
        raise CropflowError(f"{path} is missing; expected the sites of a region. Run cropflow regions sites.")
    table = read_geotable(path)
    return {
        str(row.site): Grid(
            int(row.epsg),
            float(row.transform[2]),
            float(row.transform[5]),
            int(row.height),
            int(row.width),
            float(row.transform[0]),
        )
        for row in table.itertuples(index=False)
    }
