"""The ground of a landscape in a season: which stand grows on each fine pixel, and how it varies inside a parcel."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty
from cropflow.regions.grid import Grid
from cropflow.simulation.acquisitions import centre
from cropflow.simulation.noise import SmoothField, generator
from cropflow.simulation.parameters import number, numbers
from cropflow.simulation.phenology import Traits, canopies, covers, draw_traits, pale_flowers, textures
from cropflow.simulation.spectra import BUILT, GROUP, WATER, Covers, mix, ndvi, soils, wood
from cropflow.simulation.weather import Conditions, Moisture, calendar_days, conditions, moisture

Float32 = NDArray[np.float32]
FINE_M = 5.0
SOILS = 4
# Rows after the parcels': strips of farmland that belong to no parcel, woodland, built, water.
OTHERS = ("verge", "woodland", "built", "water")


class Fields(Protocol):
    """What the sensors need of the fields of a season, see :class:`cropflow.simulation.landscape.FieldSeason`."""

    @property
    def table(self) -> Any:
        """``crop`` and ``second_crop`` by ``field`` 1..n."""

    @property
    def raster(self) -> NDArray[np.uint32]:
        """Field of each 5 m pixel, 0 = none."""

    @property
    def second(self) -> NDArray[np.bool_]:
        """True where the second crop grows."""


class Land(Protocol):
    """What the sensors need of a landscape, see :class:`cropflow.simulation.landscape.SimulatedLandscape`."""

    @property
    def name(self) -> str:
        """Name in the settings."""

    @property
    def grid(self) -> Grid:
        """10 m grid."""

    @property
    def cover(self) -> NDArray[np.uint8]:
        """0 farmland, 1 woodland, 2 built, 3 water, at 5 m."""

    @property
    def soil(self) -> NDArray[np.uint8]:
        """Brightness class 0..3, at 5 m."""

    @property
    def seasons(self) -> Any:
        """Season -> fields."""


@dataclass(frozen=True)
class Stands:
    """The parcels of a season and the second crops in some of them.

    Attributes:
        crops: Crop of each stand: the fields 1..n in order, then the second crops.
        traits: What sets each stand apart.
        field: Field of each stand, 1..n.
    """

    crops: list[str]
    traits: Traits
    field: NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """The ground of a landscape in a season.

    Attributes:
        stands: The parcels.
        stand: Stand of each 5 m pixel, -1 - k where it is the k-th of :data:`OTHERS`, int32 ``(y, x)``.
        row: Row of each 5 m pixel in tables of ``(stand or other) x soil``, int64 ``(y, x)``.
        water: Share of water on each 5 m pixel, 0 or 1, float32.
        patterns: Two smooth fields with unit variance, float32 ``(y, x)``; their mixture turns over the season.
        conditions: Early or late, dry or wet.
        moisture: Daily moisture of the soil.
        latitude: Degrees north.
        season: First and last day.
    """

    stands: Stands
    stand: NDArray[np.int32]
    row: NDArray[np.int64]
    water: Float32
    patterns: tuple[Float32, Float32]
    conditions: Conditions
    moisture: Moisture
    latitude: float
    season: Season

    def days(self, dates: list[datetime.date]) -> Float32:
        """Dates as days of the crop calendars."""
        return calendar_days(dates, self.season, self.latitude)

    def covers(self, dates: list[datetime.date]) -> Covers:
        """Covers of all stands, ``(stand, date)``."""
        return covers(self.stands.crops, self.days(dates), self.stands.traits, self.conditions)

    def pattern(self, date: datetime.date) -> Float32:
        """The variation inside parcels on a date, unit variance; it keeps its shape over months and slowly turns."""
        angle = 2 * np.pi * float(self.days([date])[0]) / 365.25
        return np.asarray(np.cos(angle) * self.patterns[0] + np.sin(angle) * self.patterns[1], np.float32)


def draw_stands(seed: int, landscape: str, season: str, fields: Fields, difficulty: Difficulty) -> Stands:
    """Draw the traits of all parcels of a season."""
    table = fields.table
    first = [str(crop) for crop in table["crop"]]
    second = [str(crop) for crop in table["second_crop"]]
    holders = np.flatnonzero([crop != "" for crop in second])
    # Drawn for every field, used where there is a second crop: no draw depends on another field's.
    traits = draw_traits(
        generator(seed, "parcels", landscape, season),
        2 * len(first),
        difficulty.parcel_variation,
        difficulty.catch_crops,
    )
    rows = np.concatenate([np.arange(len(first)), len(first) + holders])
    field = np.concatenate([np.arange(len(first)), holders]) + 1
    return Stands(first + [second[row] for row in holders], traits.take(rows), field)


def build_surface(
    seed: int, land: Land, season_name: str, season: Season, difficulty: Difficulty, with_patterns: bool = True
) -> Surface:
    """Lay out the ground of a landscape for a season.

    Args:
        seed: Seed of the simulation.
        land: The landscape.
        season_name: Name of the season.
        season: Its dates.
        difficulty: The knobs.
        with_patterns: Draw the variation inside parcels; without it the patterns are zero.
    """
    fields = land.seasons[season_name]
    _, latitude = centre(land.grid)
    stands = draw_stands(seed, land.name, season_name, fields, difficulty)
    count = len(stands.crops)

    stand = fields.raster.astype(np.int32) - 1
    seconds = np.full(len(fields.table) + 1, -1, np.int32)
    seconds[stands.field[len(fields.table) :]] = np.arange(len(fields.table), count)
    second = seconds[fields.raster]
    stand = np.where(fields.second & (second >= 0), second, stand)
    stand = np.where(fields.raster == 0, -1 - land.cover.astype(np.int32), stand)
    row = np.where(stand >= 0, stand, count - 1 - stand).astype(np.int64) * SOILS + land.soil

    zeros = np.zeros(fields.raster.shape, np.float32)
    patterns = (zeros, zeros)
    if with_patterns and difficulty.pixel_variation > 0:
        rng = generator(seed, "pixels", land.name, season_name)
        patterns = (_pattern(rng, zeros.shape), _pattern(rng, zeros.shape))
    return Surface(
        stands,
        stand,
        row,
        (stand == -1 - OTHERS.index("water")).astype(np.float32),
        patterns,
        conditions(seed, land.name, season_name, latitude, difficulty.region_year),
        moisture(seed, land.name, season_name, season, latitude, difficulty.soil_moisture),
        latitude,
        season,
    )


def _pattern(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """A smooth field whose correlation length lies between the two of the table."""
    shortest, longest = numbers("pixel.length")
    y_m, x_m = (FINE_M * (np.arange(size) + 0.5) for size in shape)
    # The lattice is half as wide as the length at which a cubic spline has lost its memory.
    return SmoothField.draw(rng, FINE_M * max(shape), (longest, shortest), exponent=0.5).at(y_m, x_m)


def reflectances(surface: Surface, dates: list[datetime.date], variation: float) -> tuple[Float32, Float32]:
    """Reflectance of every row of the ground's table, and how it answers to the pattern inside parcels.

    Args:
        surface: The ground.
        dates: When.
        variation: Knob ``pixel_variation``.

    Returns:
        Mean and response, each float32 ``(date, band, row)``: a pixel shows mean + pattern x response.
    """
    stands = surface.stands
    cover = surface.covers(dates)
    canopy, pale = canopies(stands.crops, stands.traits), pale_flowers(stands.crops)
    texture = variation * textures(stands.crops)
    dryness = surface.moisture.on(dates)[0]
    days = surface.days(dates)
    rows = (len(stands.crops) + len(OTHERS)) * SOILS
    mean = np.empty((len(dates), 10, rows), np.float32)
    response = np.empty_like(mean)
    for index in range(len(dates)):
        soil = soils(float(dryness[index]))
        green, straw, flower = (layer[:, index] for layer in (cover.green, cover.straw, cover.flower))
        stand = mix(green, straw, flower, soil, canopy, pale)
        answer = pattern_response(green, texture, canopy, soil, variation)
        other, other_answer = _others(float(days[index]), soil, variation)
        mean[index] = np.concatenate([stand, other]).reshape(rows, 10).T
        response[index] = np.concatenate([answer, other_answer]).reshape(rows, 10).T
    return mean, response


def pattern_response(green: Float32, texture: Float32, canopy: Float32, soil: Float32, variation: float) -> Float32:
    """Change of reflectance for one unit of the pattern, ``(stand, soil, band)``."""
    # Cover varies most where it is neither nothing nor everything.
    spread = texture * (0.35 + 2.6 * green * (1 - green))
    answer = spread[:, None, None] * (canopy[:, None, :] - soil[None])
    bright = variation * number("pixel.near_infrared") * (GROUP >= 1) * (GROUP <= 2)
    return np.asarray(answer + (green[:, None] * canopy * bright)[:, None, :], np.float32)


def _others(day: float, soil: Float32, variation: float) -> tuple[Float32, Float32]:
    """Reflectance and response of what is no parcel, ``(other, soil, band)``."""
    leaf = float(1 / (1 + np.exp(-(day - 112) / 7)) / (1 + np.exp((day - 300) / 8)))
    leaf += float(1 / (1 + np.exp(-(day + 365 - 112) / 7)) / (1 + np.exp((day + 365 - 300) / 8)))
    wooded = wood(leaf)
    verge = 0.55 * wooded[None] + 0.45 * soil
    mean = np.stack([verge, *(np.broadcast_to(spectrum, soil.shape) for spectrum in (wooded, BUILT, WATER))])
    contrast = np.array([0.10, 0.12, 0.28, 0.03], np.float32) * np.float32(variation)
    return np.asarray(mean, np.float32), np.asarray(contrast[:, None, None] * mean, np.float32)


def greenness(mean: Float32) -> Float32:
    """NDVI of each row of a date's table ``(band, row)``."""
    return ndvi(mean.T)
