"""When which satellite passes, from which orbit, in which processing baseline, under which sun."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cropflow.config.sections import Season
from cropflow.regions.grid import Grid
from cropflow.simulation.noise import generator
from cropflow.simulation.parameters import number, numbers

DAY = datetime.timedelta(days=1)
OLD_BASELINE, NEW_BASELINE, REPROCESSED = "03.01", "05.09", "05.00"
ONE_RADAR_SATELLITE = datetime.date(2021, 12, 23)
_BANDS_OF_LATITUDE = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3
_ROWS = "ABCDEFGHJKLMNPQRSTUV"


@dataclass(frozen=True)
class Product:
    """One file set of an acquisition: the processing baseline, and the number in its id."""

    baseline: str
    sequence: int

    @property
    def offset(self) -> int:
        """What is added to reflectance x 10000 in the stored numbers: 1000 from baseline 04.00 on."""
        return 1000 if self.baseline >= "04.00" else 0


@dataclass(frozen=True)
class Acquisition:
    """A pass of a Sentinel-2 satellite over a landscape.

    Attributes:
        time: Sensing time, UTC.
        season: Season whose crops stand on the fields.
        platform: ``sentinel-2a`` or ``sentinel-2b``.
        orbit: 0 or 1; the swath of orbit 1 ends inside the landscape.
        relative_orbit: Number of the orbit.
        products: One, or two where the acquisition was processed twice.
        sun_elevation: Degrees.
        sun_azimuth: Degrees clockwise from north.
    """

    time: datetime.datetime
    season: str
    platform: str
    orbit: int
    relative_orbit: int
    products: tuple[Product, ...]
    sun_elevation: float
    sun_azimuth: float


@dataclass(frozen=True)
class RadarPass:
    """A pass of a Sentinel-1 satellite.

    Attributes:
        time: Sensing time, UTC.
        season: Season whose crops stand on the fields.
        platform: ``sentinel-1a`` or ``sentinel-1b``.
        direction: ``ascending`` or ``descending``.
        relative_orbit: Number of the orbit.
        incidence: Angle at the middle of the landscape, degrees.
    """

    time: datetime.datetime
    season: str
    platform: str
    direction: str
    relative_orbit: int
    incidence: float


def centre(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of the middle of a grid, degrees."""
    import pyproj

    xmin, ymin, xmax, ymax = grid.bounds
    transformer = pyproj.Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    longitude, latitude = transformer.transform((xmin + xmax) / 2, (ymin + ymax) / 2)
    return float(longitude), float(latitude)


def tile_name(grid: Grid, taken: Sequence[str] = ()) -> str:
    """MGRS name of the 100 km square that holds the middle of a grid.

    Two landscapes of an archive never share a tile: an acquisition of one would look like a duplicate of the other's.
    Where the square is taken, the next free column letter is used.
    """
    zone = grid.epsg % 100
    _, latitude = centre(grid)
    xmin, ymin, xmax, ymax = grid.bounds
    band = _BANDS_OF_LATITUDE[min(int((latitude + 80) // 8), 19)]
    row = _ROWS[(int((ymin + ymax) / 2 // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    letters = _COLUMNS[zone % 3]
    first = int((xmin + xmax) / 2 // 100_000) - 1
    for step in range(len(letters) * len(_ROWS)):
        column = letters[(first + step) % len(letters)]
        other_row = _ROWS[(_ROWS.index(row) + step // len(letters)) % 20]
        name = f"{zone:02d}{band}{column}{other_row}"
        if name not in taken:
            return name
    raise ValueError(f"all {len(taken)} tiles of zone {zone} are taken")


def sentinel2_acquisitions(
    seed: int, landscape: str, grid: Grid, imagery_seasons: Sequence[str], seasons: Mapping[str, Season]
) -> list[Acquisition]:
    """All passes of Sentinel-2 in the seasons, in order of time.

    Every fifth day, from two orbits in turn. Within a season the archive changes from an old processing baseline to
    a new one; a few of the old scenes were processed again, some of them leaving both versions.
    """
    longitude, latitude = centre(grid)
    revisit = int(number("sentinel2.revisit"))
    phase = int(generator(seed, "revisit", landscape).integers(revisit))
    orbits = [int(value) for value in generator(seed, "orbits", landscape).choice(np.arange(1, 144), 2, replace=False)]
    acquisitions = []
    for season, dates in _dates(imagery_seasons, seasons).items():
        passes = [date for date in dates if date.toordinal() % revisit == phase]
        products = _products(generator(seed, "baselines", landscape, season), len(passes))
        for date, versions in zip(passes, products, strict=True):
            number_of_pass = date.toordinal() // revisit
            orbit = number_of_pass % 2
            # 10:30 mean local solar time at the equator, some minutes later further north.
            minutes = 10 * 60 + 56 - 4 * (longitude - 2) + (-2, 2)[orbit]
            time = datetime.datetime.combine(date, datetime.time(), datetime.UTC)
            time += datetime.timedelta(seconds=round(60 * minutes) % 86400 + number_of_pass % 7)
            elevation, azimuth = sun(time, longitude, latitude)
            platform = "sentinel-2a" if number_of_pass // 2 % 2 == 0 else "sentinel-2b"
            acquisitions.append(Acquisition(time, season, platform, orbit, orbits[orbit], versions, elevation, azimuth))
    return sorted(acquisitions, key=lambda acquisition: acquisition.time)


def _dates(imagery_seasons: Sequence[str], seasons: Mapping[str, Season]) -> dict[str, list[datetime.date]]:
    """Dates of each season; a date of two seasons belongs to the first."""
    seen: set[datetime.date] = set()
    result = {}
    for name in imagery_seasons:
        season = seasons[name]
        days = [season.start + day * DAY for day in range((season.end - season.start).days + 1)]
        result[name] = [day for day in days if day not in seen]
        seen.update(days)
    return result


def _products(rng: np.random.Generator, count: int) -> list[tuple[Product, ...]]:
    """Processing baselines of the passes of a season, in order of time."""
    change = round(count * rng.uniform(0.35, 0.6))
    again = rng.random(count) < 0.1
    duplicates = max(1, round(number("sentinel2.duplicates") * count)) if change > 1 else 0
    twice = set(rng.choice(max(change, 1), min(duplicates, max(change, 1)), replace=False).tolist())
    result: list[tuple[Product, ...]] = []
    for index in range(count):
        if index >= change:
            result.append((Product(NEW_BASELINE, 0),))
        elif duplicates and index in twice:
            result.append((Product(OLD_BASELINE, 0), Product(REPROCESSED, 1)))
        else:
            result.append((Product(REPROCESSED if again[index] and index else OLD_BASELINE, 0),))
    return result


def sun(time: datetime.datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Elevation and azimuth of the sun, degrees, good to about a degree.

    Args:
        time: UTC.
        longitude: Degrees east.
        latitude: Degrees north.
    """
    declination = math.radians(-23.44 * math.cos(2 * math.pi * (time.timetuple().tm_yday + 10) / 365.25))
    hour = math.radians(15 * (time.hour + time.minute / 60 - 12) + longitude)
    phi = math.radians(latitude)
    east = -math.cos(declination) * math.sin(hour)
    north = math.cos(phi) * math.sin(declination) - math.sin(phi) * math.cos(declination) * math.cos(hour)
    up = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.asin(up)), math.degrees(math.atan2(east, north)) % 360


def sentinel1_passes(
    seed: int,
    landscape: str,
    grid: Grid,
    imagery_seasons: Sequence[str],
    seasons: Mapping[str, Season],
    missing_passes: float = 1.0,
) -> list[RadarPass]:
    """All passes of Sentinel-1 in the seasons, in order of time; a few are missing, none if the knob is 0."""
    longitude, _ = centre(grid)
    near, far = numbers("sentinel1.incidence")
    passes = []
    for season, dates in _dates(imagery_seasons, seasons).items():
        for direction, hours in (("ascending", 17.7), ("descending", 5.9)):
            rng = generator(seed, "radar orbit", landscape, direction)
            phase, relative_orbit = int(rng.integers(12)), int(rng.integers(1, 176))
            incidence = float(rng.uniform(near, far))
            missing = generator(seed, "missing passes", landscape, season, direction).random(len(dates))
            for date, absent in zip(dates, missing, strict=True):
                repeat = int(numbers("sentinel1.repeat")[date >= ONE_RADAR_SATELLITE])
                if date.toordinal() % repeat != phase % repeat or absent < missing_passes * number("sentinel1.missing"):
                    continue
                time = datetime.datetime.combine(date, datetime.time(), datetime.UTC)
                time += datetime.timedelta(seconds=round(3600 * (hours - (longitude - 2) / 15)) % 86400)
                platform = "sentinel-1a" if date.toordinal() % 12 == phase else "sentinel-1b"
                passes.append(RadarPass(time, season, platform, direction, relative_orbit, incidence))
    return sorted(passes, key=lambda radar_pass: radar_pass.time)
