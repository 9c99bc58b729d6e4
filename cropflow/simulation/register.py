"""What a register makes of the fields: parcels missing, codes mistaken, outlines shifted, and files with faults.

A register is no land cover: each season's copy differs from the truth in its own way. Every source of error has its
own generator, so that a knob at 0 switches one off and leaves the others as they were.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas
import numpy as np
import pandas
import pyproj
import shapely
from numpy.typing import NDArray

from cropflow.config.simulation import Simulation
from cropflow.errors import CropflowError, listing
from cropflow.simulation.crops import CROPS, OFTEN_UNDECLARED, SIBLINGS, rpg_code
from cropflow.simulation.draws import spread_levels
from cropflow.simulation.faults import add_faults, as_multipolygons
from cropflow.simulation.fields import HECTARE_M2
from cropflow.simulation.land_parameters import limits, number
from cropflow.simulation.landscape import MARGIN_PIXELS, PIXEL_M, SimulatedLandscape
from cropflow.simulation.noise import generator
from cropflow.simulation.outlines import PAD_M, Geometries
from cropflow.simulation.rotation import style_shares

EPSG = 2154
# Area of use of EPSG:2154, degrees: west, south, east, north.
LAMBERT_93 = (-9.86, 41.15, 10.38, 51.56)
COLUMNS = ("ID_PARCEL", "SURF_PARC", "CODE_CULTU", "CODE_GROUP", "CULTURE_D1", "CULTURE_D2")

# The first campaign of the codes in :data:`CROPS`.
FIRST_CAMPAIGN = 2015

# Codes of REF_CULTURES_DEROBEES 2020: mustard, clover, phacelia, field bean, oats, ryegrass, radish, vetch.
CATCH_CROPS = ("DMD", "DTR", "DPH", "DFV", "DVN", "DRG", "DRD", "DVS")


@dataclass(frozen=True)
class DeclaredSeason:
    """The register of one season.

    Attributes:
        parcels: As the French register has it, EPSG:2154 or, outside metropolitan France, the UTM zone:
            ``ID_PARCEL``, ``SURF_PARC`` (ha, 2 decimals), ``CODE_CULTU``, ``CODE_GROUP``, ``CULTURE_D1``,
            ``CULTURE_D2`` (empty where there is none), MultiPolygons.
        fields: What became of every field: ``landscape``, ``field``, ``in_register``, ``code`` and ``parcel_id`` (both
            empty where missing).
        counts: Fields, parcels, and parcels by kind of error.
    """

    parcels: geopandas.GeoDataFrame
    fields: pandas.DataFrame
    counts: dict[str, int]


def declare(
    landscapes: Sequence[SimulatedLandscape], season: str, simulation: Simulation, campaign: int = FIRST_CAMPAIGN
) -> DeclaredSeason:
    """Make the register of a season from the true fields.

    Args:
        landscapes: All landscapes of the simulation, in metropolitan France or in one UTM zone.
        season: Name of the season.
        simulation: Seed and difficulty.
        campaign: Year of the declaration, which decides the codes alone.

    Raises:
        CropflowError: If no CRS of the register is valid for all landscapes, two landscapes meet, the crop that a
            landscape declares alone is unknown, or nothing is declared.
    """
    epsg = register_epsg(landscapes)
    _check_apart(landscapes, epsg)
    parts = [_of_landscape(landscape, season, simulation, epsg, campaign) for landscape in landscapes]
    rows = pandas.concat(parts, ignore_index=True)
    if rows["missing"].all():
        raise CropflowError(
            f"The register of season {season!r} holds none of {len(rows)} simulated fields; expected one at least. "
            "Declare more: a larger side_km, annotated_share or another annotated_crop, fewer missing_parcels."
        )
    declared = geopandas.GeoDataFrame(rows[~rows["missing"]], crs=f"EPSG:{epsg}").reset_index(drop=True)
    declared, fault_counts = add_faults(declared, simulation.difficulty.outline_errors, simulation.seed, season)
    shuffle = generator(simulation.seed, season, "order")
    declared = declared.iloc[shuffle.permutation(len(declared))].reset_index(drop=True)
    # Numbers start elsewhere every season, so an id says nothing about last season's parcel.
    numbers = shuffle.integers(100_000, 5_000_000) + shuffle.integers(1, 5, len(declared)).cumsum()
    declared["ID_PARCEL"] = numbers.astype(str)
    hectares = shapely.area(declared.geometry.to_numpy()) / HECTARE_M2
    declared["SURF_PARC"] = np.maximum(hectares.round(2), 0.01)
    parcels = geopandas.GeoDataFrame(
        declared[list(COLUMNS)], geometry=as_multipolygons(declared.geometry.to_numpy()), crs=f"EPSG:{epsg}"
    )
    counts = {
        "fields": len(rows),
        "missing": int(rows["missing"].sum()),
        "wrong_code": int(rows.loc[~rows["missing"], "wrong"].sum()),
        "catch_crop": int((rows.loc[~rows["missing"], "CULTURE_D1"] != "").sum()),
        **fault_counts,
        "parcels": len(parcels),
    }
    return DeclaredSeason(parcels, _fates(rows, declared), counts)


def _fates(rows: pandas.DataFrame, declared: pandas.DataFrame) -> pandas.DataFrame:
    """What became of every field."""
    own = declared.loc[~declared["extra"], ["landscape", "field", "CODE_CULTU", "ID_PARCEL"]]
    fates = rows[["landscape", "field", "missing"]].merge(own, how="left", on=["landscape", "field"])
    return pandas.DataFrame(
        {
            "landscape": fates["landscape"],
            "field": fates["field"],
            "in_register": ~fates["missing"],
            "code": fates["CODE_CULTU"].fillna(""),
            "parcel_id": fates["ID_PARCEL"].fillna(""),
        }
    )


def _of_landscape(
    landscape: SimulatedLandscape, season: str, simulation: Simulation, epsg: int, campaign: int
) -> pandas.DataFrame:
    """All fields of a landscape with what is declared about them; ``missing`` where nothing is."""
    table = landscape.seasons[season].table
    crops = table["crop"].to_numpy(dtype=object)
    outlines = table.to_crs(epsg).geometry.to_numpy()
    knobs = simulation.difficulty

    def source(name: str) -> np.random.Generator:
        return generator(simulation.seed, landscape.name, season, name)

    declared = _wrong_codes(crops, landscape.style, knobs.wrong_codes, source("wrong codes"))
    missing = _missing(crops, table.area.to_numpy(), knobs.missing_parcels, source("missing"))
    settings = simulation.landscapes[landscape.name]
    if settings.annotated_crop is not None:
        _check_crop(landscape.name, settings.annotated_crop)
        chosen = source("annotated").random(len(crops)) < settings.annotated_share
        missing = ~(chosen & (crops == settings.annotated_crop))
    first, second = _catch_crops(crops, knobs.catch_crops, source("declared catch crops"))
    return pandas.DataFrame(
        {
            "landscape": landscape.name,
            "field": table.index.to_numpy(),
            "missing": missing,
            "wrong": declared != crops,
            "CODE_CULTU": [rpg_code(key, campaign) for key in declared],
            "CODE_GROUP": [CROPS[key].rpg_group for key in declared],
            "CULTURE_D1": first,
            "CULTURE_D2": second,
            "geometry": _shifted(outlines, knobs.outline_errors, source("outline shift")),
        }
    )


def _check_crop(landscape: str, crop: str) -> None:
    if crop not in CROPS:
        raise CropflowError(
            f"simulations.*.landscapes.{landscape}.annotated_crop is {crop!r}; expected one of {listing(CROPS, 60)}."
        )


def register_epsg(landscapes: Sequence[SimulatedLandscape]) -> int:
    """CRS of the register: Lambert-93 in metropolitan France, elsewhere the UTM zone, as overseas registers have it.

    Raises:
        CropflowError: If a landscape lies outside metropolitan France and not all are in its UTM zone.
    """
    west, south, east, north = LAMBERT_93
    outside = None
    for each in landscapes:
        transformer = pyproj.Transformer.from_crs(each.grid.epsg, 4326, always_xy=True)
        bounds = transformer.transform_bounds(*each.grid.bounds)
        if bounds[0] < west or bounds[1] < south or bounds[2] > east or bounds[3] > north:
            outside = outside or (each, bounds)
    if outside is None:
        return EPSG
    land, bounds = outside
    if {each.grid.epsg for each in landscapes} != {land.grid.epsg}:
        raise CropflowError(
            f"Landscape {land.name!r} spans longitudes {bounds[0]:.2f} to {bounds[2]:.2f} and latitudes "
            f"{bounds[1]:.2f} to {bounds[3]:.2f}, others lie outside its UTM zone, EPSG:{land.grid.epsg}; expected all "
            f"in one zone, or all within {west} to {east} and {south} to {north}, where Lambert-93 is valid: a "
            "register has one CRS. Give landscapes apart simulations of their own."
        )
    return land.grid.epsg


def _check_apart(landscapes: Sequence[SimulatedLandscape], epsg: int) -> None:
    """Two landscapes on the same ground would declare it twice; outlines reach ``PAD_M`` beyond the grid."""
    reach = [
        geopandas.GeoSeries([shapely.box(*each.grid.bounds).buffer(PAD_M)], crs=each.grid.epsg).to_crs(epsg).iloc[0]
        for each in landscapes
    ]
    for (one, here), (other, there) in itertools.combinations(zip(landscapes, reach, strict=True), 2):
        if here.intersects(there):
            raise CropflowError(
                f"Landscapes {one.name!r} and {other.name!r} are {_gap_m(one, other, epsg):.0f} m apart; expected at "
                f"least {2 * (MARGIN_PIXELS * PIXEL_M + PAD_M):.0f} m between their squares. Move one of their centres."
            )


def _gap_m(one: SimulatedLandscape, other: SimulatedLandscape, epsg: int) -> float:
    squares = [
        geopandas.GeoSeries([shapely.box(*each.core.bounds)], crs=each.core.epsg).to_crs(epsg).iloc[0]
        for each in (one, other)
    ]
    return float(shapely.distance(*squares))


def _missing(
    crops: NDArray[np.object_],
    areas_m2: NDArray[np.float64],
    strength: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which fields nobody declares: a share of the farmland, some crops more often."""
    share = rng.uniform(*limits("register.missing")) * strength
    more = number("register.missing_more")
    weight = np.where([key in OFTEN_UNDECLARED for key in crops], more, 1.0)
    probability = share * weight * areas_m2.sum() / (weight * areas_m2).sum()
    return np.asarray(spread_levels(np.argsort(areas_m2, kind="stable"), rng) < np.minimum(probability, 0.9))


def _wrong_codes(
    crops: NDArray[np.object_], style: str, strength: float, rng: np.random.Generator
) -> NDArray[np.object_]:
    """The declared crops: here and there a sibling of the true crop, seldom any other."""
    declared = crops.copy()
    wrong = rng.random(len(crops)) < rng.uniform(*limits("register.wrong_code")) * strength
    sibling = rng.random(len(crops)) < number("register.wrong_sibling")
    others = rng.choice(np.array(list(CROPS), dtype=object), len(crops), p=style_shares(style))
    draws = rng.random(len(crops))
    for row in np.flatnonzero(wrong):
        siblings = SIBLINGS.get(crops[row], ())
        if sibling[row] and siblings:
            declared[row] = siblings[int(draws[row] * len(siblings))]
        else:
            declared[row] = others[row]
    return declared


def _catch_crops(
    crops: NDArray[np.object_], strength: float, rng: np.random.Generator
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Codes of CULTURE_D1 and CULTURE_D2, empty where no catch crop is declared; ploughed fields only."""
    ploughed = np.array([CROPS[key].kind in ("winter", "summer") for key in crops])
    share = number("register.catch_crop") * strength
    held = ploughed & (rng.random(len(crops)) < share * len(crops) / max(ploughed.sum(), 1))
    two = held & (rng.random(len(crops)) < number("register.second_catch_crop"))
    pairs = rng.permuted(np.tile(np.array(CATCH_CROPS, dtype=object), (len(crops), 1)), axis=1)
    return np.where(held, pairs[:, 0], ""), np.where(two, pairs[:, 1], "")


def _shifted(outlines: Geometries, strength: float, rng: np.random.Generator) -> Geometries:
    """Move every outline by its own small vector."""
    spread_m = rng.uniform(*limits("register.shift")) * strength
    shifts = rng.normal(0, 1, (len(outlines), 2)) * spread_m
    if not spread_m:
        return outlines
    points, owner = shapely.get_coordinates(outlines, return_index=True)
    return np.asarray(shapely.set_coordinates(outlines.copy(), points + shifts[owner]))
