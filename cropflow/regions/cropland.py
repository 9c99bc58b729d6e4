"""Squares where cropland is densest around towns, none of them overlapping another."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import geopandas
import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from cropflow.config.regions import Cropland
from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid, utm_epsg
from cropflow.regions.sites import GEOGRAPHIC, footprint, transformer

LOG = logging.getLogger(__name__)

# The share of cropland of each of some squares, in [0, 1]; NaN where the map has no data.
Share = Callable[[geopandas.GeoSeries], NDArray[np.float64]]
# Shares of equally good squares may differ in the last digits, which must not decide.
DIGITS = 9
_KM_PER_DEGREE = 111.2


@dataclass(frozen=True)
class Dense:
    """The squares chosen.

    Attributes:
        sites: Site -> grid; a name is the town and the square's rank there, ``town_1`` the densest.
        share: Site -> share of cropland, in [0, 1].
        counts: ``candidates`` around all towns, and ``without_data`` among them, where the map has no pixel.
    """

    sites: dict[str, Grid]
    share: dict[str, float]
    counts: dict[str, int]


def densest_squares(settings: Cropland, pixel_m: float, share: Share) -> Dense:
    """Choose squares around towns, the densest first, none sharing ground with another.

    Squares are tried at multiples of the step from the origin of the UTM zone of their centre, where that centre is
    within the radius. The densest of all squares of all towns is taken first; it blocks every square that shares
    ground with it, of any town and zone. Among equals the nearest to its town is taken, then the southernmost, then
    the westernmost, so that neither the order of the towns nor of the squares matters.

    Args:
        settings: Towns, radius, side and step.
        pixel_m: Pixel size, metres.
        share: Measures cropland in squares of any CRS; called once per UTM zone.

    Raises:
        CropflowError: If a town has fewer squares than asked for.
    """
    table = _measured(pandas.concat([_around(town, settings) for town in sorted(settings.towns)]), settings, share)
    known = table[table["share"].notna()]
    order = ["rounded", "distance", "y", "x", "town"]
    ranked = known.assign(rounded=known["share"].round(DIGITS)).sort_values(order, ascending=[False, *[True] * 4])
    taken: dict[str, Grid] = {}
    shares: dict[str, float] = {}
    number: Counter[str] = Counter()
    outlines: list[shapely.Geometry] = []
    pixels = round(settings.side_km * 1000 / pixel_m)
    for row in ranked.to_dict("records"):
        town = str(row["town"])
        if number[town] == settings.per_town:
            continue
        grid = Grid(row["epsg"], row["x"], row["y"] + settings.side_km * 1000, pixels, pixels, pixel_m)
        if any(_share_ground(grid, other) for other in taken.values() if other.epsg == grid.epsg):
            continue
        outline = footprint(grid)
        zones = [other.epsg for other in taken.values()]
        if any(outline.intersects(o) for o, epsg in zip(outlines, zones, strict=True) if epsg != grid.epsg):
            continue
        number[town] += 1
        taken[f"{town}_{number[town]}"] = grid
        shares[f"{town}_{number[town]}"] = row["share"]
        outlines.append(outline)
        if len(taken) == settings.per_town * len(settings.towns):
            break
    _check_enough(number, settings, table)
    counts = {"candidates": len(table), "without_data": int(table["share"].isna().sum())}
    LOG.info("chose %d of %d squares, by their share of cropland", len(taken), len(table))
    return Dense(taken, shares, counts)


def _around(town: str, settings: Cropland) -> pandas.DataFrame:
    """Lower left corners of the squares around a town, metres, and the distance of their centres from it."""
    longitude, latitude = settings.towns[town]
    up = settings.radius_km / _KM_PER_DEGREE
    across = up / math.cos(math.radians(abs(latitude) + up))
    corners = [(longitude + right * across, latitude + above * up) for right in (-1, 0, 1) for above in (-1, 0, 1)]
    zones = {utm_epsg((east + 180) % 360 - 180, min(max(north, -80.0), 84.0)) for east, north in corners}
    return pandas.concat([_in_zone(town, settings, epsg) for epsg in sorted(zones)], ignore_index=True)


def _in_zone(town: str, settings: Cropland, epsg: int) -> pandas.DataFrame:
    to_utm = transformer(GEOGRAPHIC, f"EPSG:{epsg}")
    middle = to_utm.transform(*settings.towns[town], errcheck=True)
    step, side, radius = (1000 * value for value in (settings.step_km, settings.side_km, settings.radius_km))
    ranges = [
        np.arange(math.floor((at - side / 2 - radius) / step), math.ceil((at - side / 2 + radius) / step) + 1) * step
        for at in middle
    ]
    x, y = (corner.ravel() for corner in np.meshgrid(*ranges))
    distance = np.hypot(x + side / 2 - middle[0], y + side / 2 - middle[1])
    places = to_utm.transform(x + side / 2, y + side / 2, direction="INVERSE")
    own = np.array([abs(north) < 80 and utm_epsg(east, north) == epsg for east, north in zip(*places, strict=True)])
    near = (distance <= radius) & own
    return pandas.DataFrame(
        {"town": town, "epsg": epsg, "x": x[near], "y": y[near], "distance": np.round(distance[near], 3)}
    )


def _measured(squares: pandas.DataFrame, settings: Cropland, share: Share) -> pandas.DataFrame:
    """Add the share of cropland: the mean over the cells of one step that a square is made of, each measured once."""
    step, steps = settings.step_km * 1000, round(settings.side_km / settings.step_km)
    parts = []
    for epsg, here in squares.groupby("epsg"):
        column = (here["x"] / step).round().astype(int).to_numpy()
        row = (here["y"] / step).round().astype(int).to_numpy()
        left, bottom = column.min(), row.min()
        needed = np.zeros((row.max() - bottom + steps, column.max() - left + steps), dtype=np.bool_)
        for up, right in np.ndindex(steps, steps):
            needed[row - bottom + up, column - left + right] = True
        cells = np.full(needed.shape, np.nan)
        y, x = ((place + origin) * step for place, origin in zip(np.nonzero(needed), (bottom, left), strict=True))
        cells[needed] = _on_either_side(geopandas.GeoSeries(shapely.box(x, y, x + step, y + step), crs=epsg), share)
        # A square beside the map's edge is as dense as what is known of it; one without any data is no candidate.
        known = np.isfinite(cells)
        total, number = np.zeros(len(here)), np.zeros(len(here))
        for up, right in np.ndindex(steps, steps):
            place = (row - bottom + up, column - left + right)
            total += np.where(known[place], cells[place], 0.0)
            number += known[place]
        with np.errstate(invalid="ignore"):
            parts.append(here.assign(share=total / number))
    return pandas.concat(parts, ignore_index=True)


def _on_either_side(cells: geopandas.GeoSeries, share: Share) -> NDArray[np.float64]:
    """The share of each cell; NaN where one lies across the antimeridian, where maps in degrees end."""
    corners = shapely.get_coordinates(cells.to_numpy()).reshape(len(cells), 5, 2)
    longitude, _ = transformer(cells.crs, GEOGRAPHIC).transform(corners[..., 0], corners[..., 1])
    whole = np.ptp(longitude, axis=1) < 180
    result = np.full(len(cells), np.nan)
    result[whole] = share(cells[whole])
    return result


def _share_ground(one: Grid, other: Grid) -> bool:
    a, b = one.bounds, other.bounds
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _check_enough(number: Mapping[str, int], settings: Cropland, table: pandas.DataFrame) -> None:
    for town in sorted(settings.towns):
        if number[town] < settings.per_town:
            here = table[table["town"] == town]
            raise CropflowError(
                f"choose.towns.{town} has {number[town]} squares that do not overlap, among {len(here)} within "
                f"{settings.radius_km:g} km, {int(here['share'].isna().sum())} of them without data in choose.raster; "
                f"expected choose.per_town = {settings.per_town}. Raise radius_km, or lower per_town or side_km."
            )
