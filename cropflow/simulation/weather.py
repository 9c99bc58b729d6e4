"""What a landscape and a season share: early or late, dry or wet. An unseen year is harder than an unseen parcel."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.config.sections import Season
from cropflow.simulation.noise import generator
from cropflow.simulation.parameters import number, numbers

Float32 = NDArray[np.float32]
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Conditions:
    """The season of a landscape.

    Attributes:
        shift_days: How much later everything happens than on average at 47 degrees.
        drought: 0 (none) to 1 (grass turns brown in high summer).
        vigour: Factor on the peak cover of all crops.
    """

    shift_days: float
    drought: float
    vigour: float


def harvest_year(season: Season, latitude: float) -> int:
    """The year in which most crops of a season are harvested, in northern terms.

    Seasons of the southern hemisphere are read half a year earlier, so that January stands for July.
    """
    middle = season.start + (season.end - season.start) / 2
    return (middle - (182 * DAY if latitude < 0 else 0 * DAY)).year


def calendar_days(dates: list[datetime.date], season: Season, latitude: float) -> Float32:
    """Dates as days of the crop calendars: 1 is 1 January of the harvest year in the north, 2 July in the south."""
    origin = datetime.date(harvest_year(season, latitude), 1, 1) + (182 * DAY if latitude < 0 else 0 * DAY)
    return np.array([(date - origin).days + 1 for date in dates], np.float32)


def conditions(seed: int, landscape: str, season: str, latitude: float, strength: float) -> Conditions:
    """Draw the conditions of a landscape in a season.

    Args:
        seed: Seed of the simulation.
        landscape: Name of the landscape.
        season: Name of the season; its shift is shared by all landscapes.
        latitude: Degrees north.
        strength: Knob ``region_year``; 0 gives the average year.
    """
    from scipy.special import betaincinv, ndtr

    limit = number("phenology.region_limit")
    place = number("phenology.latitude_shift") * (abs(latitude) - 47)
    place += number("phenology.region_shift") * generator(seed, "region", landscape).standard_normal()
    year = number("phenology.year_shift") * generator(seed, "year", season).standard_normal()
    summer, growth = _shared(seed, landscape, season, "weather", 2)
    low, high = numbers("phenology.drought")
    # A mild drought is common, a brown summer rare.
    drought = low + (high - low) * float(betaincinv(0.8, 2.0, ndtr(summer)))
    vigour = number("phenology.vigour") * growth
    return Conditions(
        float(strength * (np.clip(place, -limit, limit) + year)),
        float(np.clip(strength * drought, 0, 1)),
        float(1 + strength * vigour),
    )


def _shared(seed: int, landscape: str, season: str, what: str, count: int) -> NDArray[np.float64]:
    """Standard normal draws of a landscape in a season, a part of which all landscapes share in that season."""
    common = number("weather.shared")
    year, local = (generator(seed, what, *names).standard_normal(count) for names in ((season,), (landscape, season)))
    return np.asarray(math.sqrt(common) * year + math.sqrt(1 - common) * local)


@dataclass(frozen=True)
class Moisture:
    """Daily moisture of the soil of a landscape.

    Attributes:
        start: First day.
        dryness: 0 (wet) to 1 (dry), drives the brightness of bare soil, float32 ``(day,)``.
        vv_db: Change of sigma0 of bare soil in VV, dB, float32 ``(day,)``; ``vh_db`` in VH.
        vh_db: See ``vv_db``.
    """

    start: datetime.date
    dryness: Float32
    vv_db: Float32
    vh_db: Float32

    def on(self, dates: list[datetime.date]) -> tuple[Float32, Float32, Float32]:
        """Dryness, VV and VH on dates, each float32 ``(date,)``."""
        index = np.array([(date - self.start).days for date in dates])
        return self.dryness[index], self.vv_db[index], self.vh_db[index]


def moisture(seed: int, landscape: str, season_name: str, season: Season, latitude: float, strength: float) -> Moisture:
    """Draw the soil moisture of a landscape, day by day.

    Dry spells of weeks, which a year partly shares among landscapes; rain on some days that the radar sees for one to
    three days; frost in winter.

    Args:
        seed: Seed of the simulation.
        landscape: Name of the landscape.
        season_name: Name of the season.
        season: Its dates.
        latitude: Degrees north.
        strength: Knob ``soil_moisture``; 0 gives a constant, half-dry soil.
    """
    days = (season.end - season.start).days + 1
    rng = generator(seed, "moisture", landscape, season_name)
    slow = _spells(_shared(seed, landscape, season_name, "dry spells", days), 25.0)
    summer = np.array([_summer(season.start + day * DAY, latitude) for day in range(days)])
    dry_spell = 1 / (1 + np.exp(-2 * (slow + 0.8 * summer - 0.6)))
    low, high = numbers("moisture.rain")
    shortest, longest = numbers("moisture.rain_days")
    rain = np.zeros(days)
    amount = rng.uniform(low, high, days) * (rng.random(days) < 0.22 * (1.2 - dry_spell))
    decay = np.exp(-1 / rng.uniform(shortest, longest, days))
    for day in range(days):
        rain[day] = max(amount[day], (rain[day - 1] * decay[day]) if day else 0.0)
    cold = _spells(rng.standard_normal(days), 6.0) - 1.2 * summer
    frost = np.where((cold > 2.2) & (summer < -0.3), -number("moisture.frost"), 0.0)
    dry_vv, dry_vh = numbers("moisture.dry_month")
    # Centred, so that the average year keeps the levels of the table of backscatter.
    vv = -dry_vv * (dry_spell - 0.4) + 0.6 * (rain - 0.5) + frost
    vh = -dry_vh * (dry_spell - 0.4) + 0.6 * (rain - 0.5) + frost
    dryness = np.clip(0.5 + strength * (dry_spell - 0.3 - 0.25 * rain), 0, 1)
    return Moisture(
        season.start,
        dryness.astype(np.float32),
        (strength * vv).astype(np.float32),
        (strength * vh).astype(np.float32),
    )


def _summer(date: datetime.date, latitude: float) -> float:
    """1 in mid July, -1 in mid January; the other way round in the south."""
    phase = math.cos(2 * math.pi * (date.timetuple().tm_yday - 197) / 365.25)
    return phase if latitude >= 0 else -phase


def _spells(draws: NDArray[np.float64], length_days: float) -> NDArray[np.float64]:
    """A standard normal series with exponential memory, from independent draws of each day."""
    memory = math.exp(-1 / length_days)
    series = np.empty_like(draws)
    series[0] = draws[0]
    for day in range(1, len(draws)):
        series[day] = memory * series[day - 1] + math.sqrt(1 - memory**2) * draws[day]
    return series
