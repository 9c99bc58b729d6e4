"""Plots of chosen crops on a lattice, seen as single pixels: what the gates of the simulation are judged by.

A landscape grows what its rotations give it; to compare with a sample of real pixels the crops and their numbers must
be chosen. Plots pass through the same ground, sky, sensor and radar as the fields of a landscape, without an archive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.imagery import BANDS_10M, SENTINEL2_BANDS
from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty
from cropflow.regions.grid import Grid
from cropflow.simulation.acquisitions import sentinel1_passes, sentinel2_acquisitions
from cropflow.simulation.clouds import weather_ranks
from cropflow.simulation.landscape import soil_classes, square_grid
from cropflow.simulation.noise import generator
from cropflow.simulation.observation import USABLE
from cropflow.simulation.scene_classes import NODATA
from cropflow.simulation.sentinel1 import POLARISATIONS, Radar
from cropflow.simulation.sentinel2 import Optics, offset_20m
from cropflow.simulation.surface import build_surface

Float32 = NDArray[np.float32]
# 80 m: the plot of 0.64 ha is near the median parcel, and its middle pixel lies clear of the border.
PLOT_PIXELS = 8


@dataclass(frozen=True)
class PlotFields:
    """The plots of a season, see :class:`cropflow.simulation.surface.Fields`."""

    table: Any
    raster: NDArray[np.uint32]
    second: NDArray[np.bool_]


@dataclass(frozen=True)
class PlotLand:
    """Plots on a lattice, see :class:`cropflow.simulation.surface.Land`."""

    name: str
    grid: Grid
    cover: NDArray[np.uint8]
    soil: NDArray[np.uint8]
    seasons: dict[str, PlotFields]


@dataclass(frozen=True)
class PixelSeason:
    """The middle pixels of all plots in a season.

    Attributes:
        crops: Crop of each plot.
        block: Quarter of the lattice that holds the plot, 0 to 3.
        dates: Days of the Sentinel-2 scenes since the season's start, ``(date,)``.
        month: Month of each scene, 0-based from the season's start.
        classes: Scene classification, 0 outside the swath, uint8 ``(plot, date)``.
        reflectance: Seen reflectance, NaN where the scene classification does not call it usable, float32
            ``(plot, date, band)``.
        passes: Month of each Sentinel-1 pass.
        sigma0: VV and VH, dB; NaN where there is no data, float32 ``(plot, pass, polarisation)``.
    """

    crops: NDArray[Any]
    block: NDArray[np.int64]
    dates: NDArray[np.int64]
    month: NDArray[np.int64]
    classes: NDArray[np.uint8]
    reflectance: Float32
    passes: NDArray[np.int64]
    sigma0: Float32


def lay_plots(seed: int, name: str, centre: tuple[float, float], crops: Mapping[str, Sequence[str]]) -> PlotLand:
    """Lay out square plots on a square lattice.

    Args:
        seed: Seed of the simulation.
        name: Name of the land; with the seed it decides every draw.
        centre: Longitude and latitude, degrees.
        crops: Season -> crop of each plot, rows of the lattice one after another; as many in every season.
    """
    count = max(len(chosen) for chosen in crops.values())
    side = math.ceil(math.sqrt(count))
    grid = square_grid(centre, side * PLOT_PIXELS / 100)
    index = np.arange(2 * side * PLOT_PIXELS) // (2 * PLOT_PIXELS)
    plot = index[:, None] * side + index[None, :] + 1
    raster = np.where(plot <= count, plot, 0).astype(np.uint32)
    nothing = np.zeros(raster.shape, bool)
    seasons = {
        season: PlotFields(pandas.DataFrame({"crop": list(chosen), "second_crop": ""}), raster, nothing)
        for season, chosen in crops.items()
    }
    soil = soil_classes(grid, generator(seed, name, "soil"))
    return PlotLand(name, grid, np.zeros(raster.shape, np.uint8), soil, seasons)


def see_pixels(
    seed: int, land: PlotLand, season_name: str, season: Season, difficulty: Difficulty, radar: bool = True
) -> PixelSeason:
    """See the middle pixel of every plot through a season.

    Args:
        seed: Seed of the simulation.
        land: The plots.
        season_name: Name of the season.
        season: Its dates.
        difficulty: The knobs.
        radar: Simulate Sentinel-1 too.
    """
    surface = build_surface(seed, land, season_name, season, difficulty)
    crops = np.array(list(land.seasons[season_name].table["crop"]), dtype=object)
    side = math.ceil(math.sqrt(len(crops)))
    row, column = np.divmod(np.arange(len(crops)), side)
    y, x = (PLOT_PIXELS * line + PLOT_PIXELS // 2 for line in (row, column))
    block = 2 * (2 * row // side) + 2 * column // side

    seasons = {season_name: season}
    acquisitions = sentinel2_acquisitions(seed, land.name, land.grid, [season_name], seasons)
    ranks = weather_ranks(seed, land.name, [one.time.date() for one in acquisitions])
    down, right = offset_20m(land.grid)
    classes = np.zeros((len(crops), len(acquisitions)), np.uint8)
    reflectance = np.full((len(crops), len(acquisitions), len(SENTINEL2_BANDS)), np.nan, np.float32)
    for index, scene in enumerate(Optics(seed, land, surface, difficulty).scenes(acquisitions, ranks)):
        coarse = ((y - down) // 2, (x - right) // 2)
        classes[:, index] = np.where(scene.valid[y, x], scene.classes[coarse], NODATA)
        usable = np.isin(classes[:, index], USABLE)
        for band, name in enumerate(SENTINEL2_BANDS):
            seen = scene.reflectance[name][(y, x) if name in BANDS_10M else coarse]
            reflectance[usable, index, band] = seen[usable]

    knob = difficulty.missing_passes
    passes = sentinel1_passes(seed, land.name, land.grid, [season_name], seasons, knob) if radar else []
    sigma0 = np.full((len(crops), len(passes), len(POLARISATIONS)), np.nan, np.float32)
    for index, (_, layers) in enumerate(Radar(seed, land, surface, difficulty).scenes(passes)):
        for position, polarisation in enumerate(POLARISATIONS):
            sigma0[:, index, position] = layers[polarisation][y, x]

    def months(times: Sequence[Any]) -> NDArray[np.int64]:
        first = 12 * season.start.year + season.start.month
        return np.array([12 * one.time.year + one.time.month - first for one in times], np.int64)

    days = np.array([(one.time.date() - season.start).days for one in acquisitions], np.int64)
    return PixelSeason(crops, block, days, months(acquisitions), classes, reflectance, months(passes), sigma0)
