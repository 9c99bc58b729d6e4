"""Faults of register files: parcels in two parts, invalid rings, exact duplicates, slivers."""

from __future__ import annotations

import math
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from cropflow.simulation.fields import HECTARE_M2
from cropflow.simulation.land_parameters import number
from cropflow.simulation.noise import generator
from cropflow.simulation.outlines import Geometries, long_axis

FAULTS = ("register.two_parts", "register.bow_ties", "register.duplicates", "register.slivers")


def add_faults(
    parcels: geopandas.GeoDataFrame, strength: float, seed: int, season: str
) -> tuple[geopandas.GeoDataFrame, dict[str, int]]:
    """Add the faults that readers of registers must cope with.

    Args:
        parcels: Declared parcels in a metric CRS, with any columns.
        strength: Factor on the number of faults; 0 adds none.
        seed: Seed of the simulation.
        season: Name of the season.

    Returns:
        The parcels with a column ``extra`` (True for duplicates and slivers, which are no fields of their own), and
        the number of faults by kind.
    """
    outlines = parcels.geometry.to_numpy().copy()
    sources = {fault: generator(seed, season, fault) for fault in FAULTS}
    orders = {fault: rng.permutation(len(parcels)) for fault, rng in sources.items()}
    wanted = {fault: math.ceil(number(fault) * strength * len(parcels)) for fault in FAULTS}
    broken = _cross_by_tracks(outlines, orders["register.two_parts"], wanted["register.two_parts"])
    tied = _tie(outlines, orders["register.bow_ties"], wanted["register.bow_ties"])
    table = parcels.set_geometry(outlines, crs=parcels.crs).assign(extra=False)
    copies = table.iloc[orders["register.duplicates"][: wanted["register.duplicates"]]].assign(extra=True)
    along = table.iloc[orders["register.slivers"][: wanted["register.slivers"]]].assign(extra=True)
    slivers = along.set_geometry([_sliver(outline) for outline in along.geometry], crs=parcels.crs)
    parts = [part for part in (table, copies, slivers) if len(part)]
    whole = geopandas.GeoDataFrame(pandas.concat(parts, ignore_index=True), crs=parcels.crs)
    counts = {"two_parts": broken, "bow_ties": tied, "duplicates": len(copies), "slivers": len(slivers)}
    return whole, counts


def as_multipolygons(outlines: Geometries) -> Geometries:
    """Every outline as a MultiPolygon, as registers ship them."""
    single = shapely.get_type_id(outlines) == 3
    wrapped = outlines.copy()
    wrapped[single] = shapely.multipolygons(outlines[single][:, np.newaxis])
    return wrapped


def _cross_by_tracks(outlines: Geometries, order: NDArray[np.int64], wanted: int) -> int:
    """Take a track out of large parcels, in place, so that two parts are left."""
    done = 0
    for row in order:
        if done == wanted:
            break
        outline = outlines[row]
        if shapely.area(outline) < HECTARE_M2:
            continue
        middle = shapely.get_coordinates(shapely.centroid(outline))[0]
        angle = long_axis(outline) + math.pi / 2
        reach = 1e4 * np.array([math.cos(angle), math.sin(angle)])
        track = shapely.buffer(
            shapely.linestrings(np.array([middle - reach, middle + reach])), number("register.track") / 2
        )
        rest = shapely.difference(outline, track)
        if shapely.get_num_geometries(rest) == 2:
            outlines[row] = rest
            done += 1
    return done


def _longest_edge(outline: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Both ends of the longest edge of the (first) outer ring, and the position of its first end."""
    ring = shapely.get_coordinates(shapely.get_exterior_ring(shapely.get_geometry(outline, 0)))
    position = int(np.argmax((np.diff(ring, axis=0) ** 2).sum(axis=1)))
    return ring[position], ring[position + 1], position


def _tie(outlines: Geometries, order: NDArray[np.int64], wanted: int) -> int:
    """Let the longest edge cross itself, in place: two points outside it are visited in the wrong order."""
    done = 0
    for row in order:
        if done == wanted:
            break
        if shapely.get_type_id(outlines[row]) != 3:
            continue
        start, end, position = _longest_edge(outlines[row])
        along = end - start
        aside = np.array([along[1], -along[0]]) / np.linalg.norm(along)
        ring = shapely.get_coordinates(shapely.get_exterior_ring(outlines[row]))
        knot = np.array([start + share * along + aside for share in (0.55, 0.45)])
        tied = shapely.polygons(np.concatenate([ring[: position + 1], knot, ring[position + 1 :]]))
        if not shapely.is_valid(tied):
            outlines[row] = tied
            done += 1
    return done


def _sliver(outline: Any) -> Any:
    """A strip along the longest edge, narrower than any parcel."""
    start, end, _ = _longest_edge(outline)
    along = end - start
    aside = np.array([along[1], -along[0]]) / np.linalg.norm(along) * number("register.sliver_width")
    return shapely.polygons(np.array([start, end, end + aside, start + aside]))
