"""A square of farmland with a known crop on every spot, season after season."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from cropflow.config.simulation import Landscape, Simulation
from cropflow.regions.grid import Grid, utm_epsg
from cropflow.simulation.crops import CROPS, FIXED
from cropflow.simulation.fields import BUILT, FARMLAND, HECTARE_M2, tile
from cropflow.simulation.land_parameters import limits, number, numbers
from cropflow.simulation.noise import SmoothField, generator
from cropflow.simulation.outlines import (
    PAD_M,
    Geometries,
    change_outlines,
    cut_through,
    draw_bend,
    lay_out,
    long_axis,
)
from cropflow.simulation.rotation import first_crops, next_crops

PIXEL_M = 10.0
MARGIN_PIXELS = 16
SUPERSAMPLING = 2  # 5 m: border pixels of 10 m mix two fields


@dataclass(frozen=True)
class FieldSeason:
    """The fields of one season.

    Attributes:
        table: One row per field that meets the grid; index ``field`` uint32 1..n; columns ``crop`` (key of
            ``CROPS``), ``second_crop`` (key, or empty), ``parent`` uint32 (field of the first season that holds, or
            held, most of it: stays the same over the seasons), ``geometry`` (Polygon, the grid's CRS; not clipped).
        raster: Field of each 5 m pixel by its centre, uint32, ``(2 * height, 2 * width)``; 0 = no farmland.
        second: True where the second crop grows, bool, same shape.
    """

    table: geopandas.GeoDataFrame
    raster: NDArray[np.uint32]
    second: NDArray[np.bool_]


@dataclass(frozen=True)
class SimulatedLandscape:
    """Farmland with known truth.

    Attributes:
        name: Name in the settings.
        style: Crop shares and rotations: ``cereal``, ``livestock`` or ``southern``.
        grid: 10 m grid with a margin of 160 m around ``core``.
        core: 10 m grid of the square itself: the grid of a region's site of the same centre and side.
        cover: Land cover, uint8, ``(2 * height, 2 * width)`` of ``grid``: 0 farmland, 1 woodland, 2 built or road,
            3 water.
        soil: Brightness class of the soil, uint8 0..3, same shape.
        seasons: Season -> its fields, in order of time.
    """

    name: str
    style: str
    grid: Grid
    core: Grid
    cover: NDArray[np.uint8]
    soil: NDArray[np.uint8]
    seasons: dict[str, FieldSeason]


def square_grid(centre: tuple[float, float], side_km: float) -> Grid:
    """The 10 m grid of a square by its centre, in the UTM zone of the centre: the one that a region's site has.

    Args:
        centre: Longitude and latitude, degrees.
        side_km: Side, kilometres.
    """
    epsg = utm_epsg(*centre)
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(*centre)
    pixels = round(side_km * 1000 / PIXEL_M)
    left, bottom = round(x / PIXEL_M - pixels / 2), round(y / PIXEL_M - pixels / 2)
    return Grid(epsg, left * PIXEL_M, (bottom + pixels) * PIXEL_M, pixels, pixels, PIXEL_M)


def make_landscape(name: str, settings: Landscape, simulation: Simulation) -> SimulatedLandscape:
    """Make a landscape and its fields in all seasons.

    Args:
        name: Name of the landscape; with the seed it decides every draw.
        settings: Where it lies, how large it is, and its style.
        simulation: Seed, seasons and difficulty.
    """
    core = square_grid(settings.centre, settings.side_km)
    grid = core.window(-MARGIN_PIXELS, -MARGIN_PIXELS, core.height + 2 * MARGIN_PIXELS, core.width + 2 * MARGIN_PIXELS)
    rng = generator(simulation.seed, name, "plan")
    pieces = tile(grid.width * PIXEL_M + 2 * PAD_M, grid.height * PIXEL_M + 2 * PAD_M, settings.style, rng)
    xmin, ymin, xmax, ymax = grid.bounds
    polygons = lay_out(pieces, draw_bend(rng), ((xmin + xmax) / 2, (ymin + ymax) / 2))
    met = shapely.intersects(polygons, shapely.box(*grid.bounds))
    covers = np.array([piece.cover for piece in pieces])
    # What no piece covers lies outside the plan; there is none inside the grid, whatever the bend.
    cover = _burn(polygons[met], covers[met], grid, BUILT).astype(np.uint8)
    return SimulatedLandscape(
        name,
        settings.style,
        grid,
        core,
        cover,
        soil_classes(grid, generator(simulation.seed, name, "soil")),
        _seasons(name, settings.style, polygons[met & (covers == FARMLAND)], grid, simulation),
    )


def _seasons(name: str, style: str, outlines: Geometries, grid: Grid, simulation: Simulation) -> dict[str, FieldSeason]:
    keys = np.array(list(CROPS))
    seasons: dict[str, FieldSeason] = {}
    parents = np.arange(1, len(outlines) + 1, dtype=np.uint32)
    crops = np.zeros(0, dtype=np.int64)
    for season in simulation.seasons:
        rng = generator(simulation.seed, name, season, "crops")
        if not seasons:
            hectares = shapely.area(outlines) / HECTARE_M2
            widths = 2 * shapely.area(outlines) / shapely.length(outlines)
            crops = first_crops(hectares, widths, style, rng)
        else:
            changing = generator(simulation.seed, name, season, "outlines")
            movable = ~np.isin(keys[crops], [*FIXED, "permanent_grass", "fallow"])
            outlines, before = change_outlines(outlines, movable, changing.uniform(*limits("field.changed")), changing)
            parents, crops = parents[before], crops[before]
            crops = next_crops(crops, shapely.area(outlines) / HECTARE_M2, style, rng)
        seasons[season] = _field_season(name, season, outlines, crops, parents, grid, simulation)
    return seasons


def _field_season(
    name: str,
    season: str,
    outlines: Geometries,
    crops: NDArray[np.int64],
    parents: NDArray[np.uint32],
    grid: Grid,
    simulation: Simulation,
) -> FieldSeason:
    keys = np.array(list(CROPS), dtype=object)
    numbers = np.arange(1, len(outlines) + 1, dtype=np.uint32)
    raster = _burn(outlines, numbers, grid, 0).astype(np.uint32)
    second_crops, parts = _second_crops(name, season, outlines, keys[crops], simulation)
    held = np.flatnonzero(second_crops != "")
    second = raster > 0
    second &= _burn(parts[held], numbers[held], grid, 0) == raster
    table = geopandas.GeoDataFrame(
        {"crop": keys[crops], "second_crop": second_crops, "parent": parents},
        geometry=outlines,
        crs=f"EPSG:{grid.epsg}",
        index=pandas.Index(numbers, name="field"),
    )
    return FieldSeason(table, raster, second)


def _second_crops(
    name: str, season: str, outlines: Geometries, crops: NDArray[np.object_], simulation: Simulation
) -> tuple[NDArray[np.object_], Geometries]:
    """Give a few large fields a second crop along one end: the declared outline then holds two crops.

    Returns:
        Key of the second crop or empty, and the part that it covers, both ``(field,)``.
    """
    rng = generator(simulation.seed, name, season, "second crops")
    second = np.full(len(outlines), "", dtype=object)
    parts = np.full(len(outlines), None, dtype=object)
    large = shapely.area(outlines) > number("field.second_crop_from") * HECTARE_M2
    rate = rng.uniform(*limits("field.second_crop")) * simulation.difficulty.outline_errors
    # The rate is of all fields, but only large ploughed ones are open to it.
    ploughed = [key for key, crop in CROPS.items() if crop.kind in ("winter", "summer")]
    order = rng.permutation(np.flatnonzero(large & np.isin(crops, ploughed)))
    ends, which = rng.uniform(*limits("field.second_crop_part"), len(order)), rng.random(len(order))
    for row, end, draw in zip(order[: round(rate * len(outlines))], ends, which, strict=False):
        halves = cut_through(outlines[row], long_axis(outlines[row]) + np.pi / 2, end)
        if halves is None:
            continue
        here = [key for key in sorted(set(crops) & set(ploughed)) if key != crops[row]]
        others = here or [key for key in ploughed if key != crops[row]]
        second[row] = others[int(draw * len(others))]
        parts[row] = min(halves, key=lambda half: float(half.area))
    return second, parts


def _burn(polygons: Geometries, values: Sequence[int] | NDArray[Any], grid: Grid, fill: int) -> NDArray[Any]:
    """Burn polygons into the 5 m grid by pixel centre, uint32."""
    shape = (grid.height * SUPERSAMPLING, grid.width * SUPERSAMPLING)
    if not len(polygons):
        return np.full(shape, fill, dtype=np.uint32)
    return np.asarray(
        rasterize(
            ((polygon, int(value)) for polygon, value in zip(polygons, values, strict=True)),
            out_shape=shape,
            transform=grid.transform @ Affine.scale(1 / SUPERSAMPLING),
            fill=fill,
            dtype="uint32",
        )
    )


def soil_classes(grid: Grid, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Smooth patches of soil: a Gaussian field cut at fixed quantiles."""
    step = PIXEL_M / SUPERSAMPLING
    y_m = (np.arange(grid.height * SUPERSAMPLING) + 0.5) * step
    x_m = (np.arange(grid.width * SUPERSAMPLING) + 0.5) * step
    extent_m = max(grid.height, grid.width) * PIXEL_M
    field = SmoothField.draw(rng, extent_m, numbers("soil.patches"), exponent=0.5).at(y_m, x_m)
    levels = np.quantile(field, np.cumsum(numbers("soil.shares"))[:-1])
    return np.searchsorted(levels, field.ravel()).reshape(field.shape).astype(np.uint8)
