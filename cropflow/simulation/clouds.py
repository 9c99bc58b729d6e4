"""Clouds, their shadows, cirrus and haze over a landscape, date by date.

Cloud cover is a property of the weather: most dates are overcast or clear as a whole, dates in a row resemble each
other, and within a broken sky clouds have all sizes from 30 km to a few hundred metres.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.simulation import Difficulty
from cropflow.simulation.noise import SmoothField, generator, logistic, normal_quantile
from cropflow.simulation.parameters import number, numbers

Float32 = NDArray[np.float32]
# Clouds further away than this throw no shadow on the landscape that anybody would place.
_REACH_M = 12_000.0
_SATURATED = 0.995
_MIXED_MEMORY_DAYS = 120


@dataclass(frozen=True)
class Sky:
    """What lies between a landscape and the sensor, each float32 ``(y, x)`` in [0, 1].

    Attributes:
        cloud: Opacity of clouds.
        cirrus: Opacity of cirrus.
        shadow: Opacity of the cloud between the ground and the sun.
        veil: Opacity of haze, which the scene classification takes for clear.
        brightness: Factor on the reflectance of the clouds.
    """

    cloud: Float32
    cirrus: Float32
    shadow: Float32
    veil: Float32
    brightness: float

    @property
    def overcast(self) -> bool:
        """Whether nothing of the ground is seen."""
        return bool(self.cloud.min() >= 1)

    def halved(self, shape: tuple[int, int], offset: tuple[int, int]) -> Sky:
        """The sky on pixels twice as large, see :func:`halve`."""
        return Sky(
            halve(self.cloud, shape, offset),
            halve(self.cirrus, shape, offset),
            halve(self.shadow, shape, offset),
            halve(self.veil, shape, offset),
            self.brightness,
        )


def halve(values: Float32, shape: tuple[int, int], offset: tuple[int, int]) -> Float32:
    """Mean over pixels twice as large; the raster continues beyond its edges with its outermost values.

    Args:
        values: ``(y, x)``.
        shape: Rows and columns of the result.
        offset: Row and column of ``values`` at which the result begins, 0 or -1.
    """
    rows, columns = (np.clip(offset[axis] + np.arange(2 * shape[axis]), 0, values.shape[axis] - 1) for axis in (0, 1))
    if values.shape == (2 * shape[0], 2 * shape[1]) and offset == (0, 0):
        padded = values
    else:
        padded = values[np.ix_(rows, columns)]
    # Four strided sums are several times as fast as a mean over two short axes.
    total = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    return np.asarray(0.25 * total, np.float32)


def cloudless_share(date: datetime.date, latitude: float) -> float:
    """Expected share of the ground that no cloud covers on a date, [0.1, 0.95].

    The table gives the share that the scene classification calls usable; cirrus, shadows and errors take theirs too.
    """
    share = number("clouds.usable") + number("clouds.usable_by_latitude") * (abs(latitude) - 51)
    month = (date.month + (5 if latitude < 0 else -1)) % 12
    share = (share + numbers("clouds.month")[month]) / (1 - number("clouds.lost_otherwise"))
    return float(np.clip(share, 0.1, 0.95))


def weather_ranks(seed: int, landscape: str, dates: list[datetime.date]) -> NDArray[np.float64]:
    """Rank of each date's weather, 0 (clearest) to 1 (cloudiest), with the memory of weather and of longer spells."""
    from scipy.special import ndtr

    if not dates:
        return np.zeros(0)
    short, long = numbers("clouds.persistence")
    spell = number("clouds.spell_share")
    first, last = min(dates).toordinal(), max(dates).toordinal()
    count = last - first + 1
    rng = generator(seed, "weather", landscape, first)
    series = np.zeros(count)
    for length, share in ((short, 1 - spell), (long, spell)):
        memory = math.exp(-1 / length)
        state = 0.0
        for day, draw in enumerate(rng.standard_normal(count + _MIXED_MEMORY_DAYS)):
            state = memory * state + math.sqrt(1 - memory**2) * draw
            if day >= _MIXED_MEMORY_DAYS:
                series[day - _MIXED_MEMORY_DAYS] += math.sqrt(share) * state
    return np.asarray(ndtr(series)[[date.toordinal() - first for date in dates]])


def cloud_fraction(rank: float, cloudy: float) -> float:
    """Cloud cover of the region on a date: 0 in clear weather, 1 in overcast, between the two in broken.

    Args:
        rank: Rank of the weather, 0 to 1.
        cloudy: Expected share of cloud, 0 to 1. The mean over ranks equals it.
    """
    broken = 4 * cloudy * (1 - cloudy) * number("clouds.broken")
    clear = 1 - cloudy - broken / 2
    if rank <= clear or cloudy <= 0:
        return 0.0
    return 1.0 if rank >= clear + broken else (rank - clear) / broken


def draw_sky(
    seed: int,
    landscape: str,
    time: datetime.datetime,
    rank: float,
    cloudless: float,
    sun: tuple[float, float],
    shape: tuple[int, int],
    pixel_m: float,
    difficulty: Difficulty,
) -> Sky:
    """Draw the sky over a landscape.

    Args:
        seed: Seed of the simulation.
        landscape: Name of the landscape.
        time: Sensing time.
        rank: Rank of the weather, see :func:`weather_ranks`.
        cloudless: Expected share of the ground that no cloud covers, see :func:`cloudless_share`.
        sun: Elevation and azimuth, degrees.
        shape: Rows and columns.
        pixel_m: Pixel size, metres.
        difficulty: Knobs ``clouds`` and ``haze``.
    """
    day = time.date().isoformat()
    y_m, x_m = (pixel_m * (np.arange(size) + 0.5) for size in shape)
    extent = max(shape) * pixel_m
    empty = np.zeros(shape, np.float32)
    rng = generator(seed, "clouds", landscape, day)
    lowest, highest = numbers("clouds.height")
    height, brightness = float(rng.uniform(lowest, highest)), float(rng.uniform(0.75, 1.1))
    edge = rng.uniform(3.0, 9.0)
    fraction = cloud_fraction(rank, min(0.98, difficulty.clouds * (1 - cloudless)))
    cloud = shadow = empty
    if fraction >= 1:
        cloud = np.ones(shape, np.float32)
    elif fraction > 0:
        field = SmoothField.draw(
            rng, extent, numbers("clouds.sizes"), exponent=number("clouds.size_exponent"), reach_m=_REACH_M
        )
        threshold = -normal_quantile(fraction)
        cloud = _opacity(field.at(y_m, x_m) - threshold, edge)
        elevation, azimuth = math.radians(max(sun[0], 5.0)), math.radians(sun[1])
        distance = min(height / math.tan(elevation), _REACH_M)
        # The cloud that shades a point lies towards the sun; rows count southwards.
        towards = (-distance * math.cos(azimuth), distance * math.sin(azimuth))
        shadow = _opacity(field.at(y_m + towards[0], x_m + towards[1]) - threshold, edge)
    return Sky(
        cloud,
        _cirrus(generator(seed, "cirrus", landscape, day), extent, y_m, x_m, difficulty.clouds),
        shadow,
        _veil(generator(seed, "haze", landscape, day), extent, y_m, x_m, difficulty.haze),
        brightness,
    )


def _opacity(excess: Float32, edge: float) -> Float32:
    """Opacity from the height of the cloud field above its threshold; thick cloud is exactly 1."""
    opacity = 1 - np.exp(-edge * np.maximum(excess, 0))
    return np.asarray(np.where(opacity >= _SATURATED, 1, opacity), np.float32)


def _cirrus(rng: np.random.Generator, extent: float, y_m: NDArray[Any], x_m: NDArray[Any], strength: float) -> Float32:
    """Opacity of cirrus, ``(y, x)``; thin sheets of many kilometres on some dates."""
    present = rng.random() < number("clouds.cirrus") * min(strength, 3.0)
    level, cover = rng.uniform(0.03, 0.16), rng.uniform(0.4, 1.6)
    if not present:
        return np.zeros((len(y_m), len(x_m)), np.float32)
    field = SmoothField.draw(rng, extent, (16e3, 8e3, 4e3, 1500.0), exponent=0.6)
    sheet = logistic(2.5 * (field.at(y_m, x_m) + cover))
    return np.asarray(level * np.where(sheet > 0.25, sheet, 0), np.float32)


def _veil(rng: np.random.Generator, extent: float, y_m: NDArray[Any], x_m: NDArray[Any], strength: float) -> Float32:
    """Opacity of haze, ``(y, x)``."""
    present = rng.random() < number("haze.share")
    level, cover = math.exp(0.45 * rng.standard_normal()), rng.uniform(-1.2, 0.8)
    if strength == 0 or not present:
        return np.zeros((len(y_m), len(x_m)), np.float32)
    field = SmoothField.draw(rng, extent, (12e3, 5e3, 2e3, 700.0), exponent=0.45)
    # A smooth ramp: nothing where the field is low, ever thicker where it is high.
    thickness = np.log1p(np.exp(2.2 * (field.at(y_m, x_m) + cover))) / 2.2
    opacity = strength * number("haze.opacity") * level * thickness
    return np.asarray(np.where(opacity < 0.004, 0, np.minimum(opacity, 0.4)), np.float32)
