"""Samples by which the simulation is judged, their gaps and quantile distances; what learns from them stays outside."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.simulation import Difficulty
from cropflow.simulation.crops import CROPS, STYLES
from cropflow.simulation.noise import generator
from cropflow.simulation.observation import monthly_medians
from cropflow.simulation.plots import PixelSeason, lay_plots, see_pixels
from cropflow.simulation.references import FR23_BOX, FR23_PIXELS, FR23_SEASON
from cropflow.simulation.spectra import ndvi

Float64 = NDArray[np.float64]
# The services behind the real samples drop radar scenes that are broken.
SOUND = Difficulty(border_noise=0, overflow=0)
OFF = Difficulty(**dict.fromkeys(Difficulty.model_fields, 0.0))
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Samples:
    """Single pixels of a season with their monthly features.

    Attributes:
        optical: Monthly medians of ten bands, gaps interpolated, ``(pixel, month x band)``.
        radar: Monthly means of VV and VH, dB, ``(pixel, month x polarisation)``.
        crop: Crop of each pixel.
        place: Land of each pixel.
        block: Block of each pixel, unique over lands.
    """

    optical: Float64
    radar: Float64
    crop: NDArray[Any]
    place: NDArray[np.int64]
    block: NDArray[np.int64]

    @property
    def both(self) -> Float64:
        """Features of both sensors."""
        return np.concatenate([self.optical, self.radar], axis=1)

    def take(self, rows: NDArray[Any]) -> Samples:
        """Some of the pixels."""
        return Samples(self.optical[rows], self.radar[rows], self.crop[rows], self.place[rows], self.block[rows])


def join(seen: Sequence[PixelSeason]) -> Samples:
    """The pixels of several lands as samples; lands and blocks are numbered in their order."""
    return Samples(
        np.concatenate([monthly_optics(one) for one in seen]),
        np.concatenate([monthly_radar(one) for one in seen]),
        np.concatenate([one.crops for one in seen]),
        np.repeat(np.arange(len(seen)), [len(one.crops) for one in seen]),
        np.concatenate([4 * index + one.block for index, one in enumerate(seen)]),
    )


def monthly_optics(seen: PixelSeason) -> Float64:
    """Monthly medians, gaps filled linearly in time, ``(pixel, month x band)``."""
    medians = monthly_medians(seen.reflectance, seen.month)
    months = np.arange(medians.shape[1])
    for pixel in medians:
        valid = np.isfinite(pixel[:, 0])
        for band in range(pixel.shape[1]):
            pixel[:, band] = np.interp(months, months[valid], pixel[valid, band]) if valid.any() else 0.0
    return medians.reshape(len(medians), -1)


def monthly_radar(seen: PixelSeason) -> Float64:
    """Monthly means in linear power, as dB, gaps filled linearly in time, ``(pixel, month x polarisation)``."""
    count = int(seen.month.max()) + 1
    result = np.full((len(seen.crops), count, 2), np.nan)
    power = 10 ** (seen.sigma0.astype(float) / 10)
    for month in range(count):
        chosen = power[:, seen.passes == month]
        if chosen.size:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                result[:, month] = 10 * np.log10(np.nanmean(chosen, axis=1))
    months = np.arange(count)
    for pixel in result:
        for layer in range(2):
            valid = np.isfinite(pixel[:, layer])
            if valid.any():
                pixel[:, layer] = np.interp(months, months[valid], pixel[valid, layer])
    return np.asarray(np.nan_to_num(result.reshape(len(result), -1), nan=0.0))


def sample_france(
    seed: int, lands: int = 40, plots: int = 10, difficulty: Difficulty = SOUND, even: bool = False
) -> list[PixelSeason]:
    """Pixels like those of FR23: ten crops in its shares, lands scattered over the west and south-west of France.

    Args:
        seed: Seed of everything.
        lands: Lands, each with weather and clouds of its own.
        plots: Plots of each land, one pixel each.
        difficulty: The knobs.
        even: As many plots of every crop, instead of the shares of FR23.
    """
    west, south, east, north = FR23_BOX
    rng = generator(seed, "gate", "FR23")
    names = list(FR23_PIXELS)
    seen = []
    for index in range(lands):
        centre = (float(rng.uniform(west, east)), float(rng.uniform(south, north)))
        style = "southern" if centre[1] < 45 else "livestock" if centre[0] < 0 else "cereal"
        drawn = [str(crop) for crop in rng.choice(names, plots, p=_weights(style))]
        crops = [names[plot % len(names)] for plot in range(plots)] if even else drawn
        land = lay_plots(seed, f"land {index}", centre, {"2023": crops})
        seen.append(see_pixels(seed, land, "2023", FR23_SEASON, difficulty))
    return seen


def _weights(style: str) -> Float64:
    """Chance of each crop of FR23 in a style: its pixels, moved by how much more of it the style grows."""
    weights = []
    for crop, pixels in FR23_PIXELS.items():
        shares = CROPS[crop].shares
        weights.append(pixels * shares[style] / np.mean([shares[one] for one in STYLES]))
    return np.asarray(weights) / sum(weights)


@dataclass(frozen=True)
class Gaps:
    """Steps of ten days without a usable value.

    Attributes:
        usable: Share of usable acquisitions among those inside the swath.
        valued: Share of steps with a value.
        after_gap: Chance of a gap after a gap; ``after_value`` after a value.
        after_value: See ``after_gap``.
        longest: Longest gap of each pixel, steps.
        empty_months: Share of pixels without a value, by month from the season's start.
    """

    usable: float
    valued: float
    after_gap: float
    after_value: float
    longest: NDArray[np.int64]
    empty_months: Float64


def find_gaps(seen: Sequence[PixelSeason], usable: Sequence[int]) -> Gaps:
    """The gaps of all pixels, where the classes of the scene classification called usable are given."""
    valued, longest, empty, clear, inside = [], [], [], 0, 0
    steps = min(int(one.dates.max()) // 10 for one in seen)
    for one in seen:
        good = np.isin(one.classes, usable)
        clear, inside = clear + int(good.sum()), inside + int((one.classes > 0).sum())
        step = one.dates // 10
        valued.append(np.stack([good[:, step == index].any(axis=1) for index in range(steps)], axis=1))
        months = range(int(one.month.max()) + 1)
        empty.append(1 - np.stack([good[:, one.month == month].any(axis=1) for month in months], axis=1))
    have = np.concatenate(valued)
    for pixel in have:
        ends = np.flatnonzero(np.concatenate([[True], pixel, [True]]))
        longest.append(int(np.diff(ends).max()) - 1)
    gap = ~have
    after = gap[:, 1:]
    return Gaps(
        clear / max(inside, 1),
        float(have.mean()),
        float(after[gap[:, :-1]].mean()),
        float(after[have[:, :-1]].mean()),
        np.array(longest),
        np.concatenate(empty).mean(axis=0),
    )


def quantile_distance(one: Float64, other: Float64) -> float:
    """How far two distributions lie apart, in their own unit.

    Args:
        one: ``(pixel, month)``, NaN where there is no value.
        other: The same months of other pixels.

    Returns:
        Mean absolute difference of the quantiles .1, .25, .5, .75 and .9, over months that both have.
    """
    months = np.isfinite(one).any(axis=0) & np.isfinite(other).any(axis=0)
    levels = [np.nanquantile(values[:, months], _QUANTILES, axis=0) for values in (one, other)]
    return float(np.abs(levels[0] - levels[1]).mean())


def monthly_ndvi(seen: PixelSeason) -> Float64:
    """NDVI of the monthly medians, ``(pixel, month)``, NaN where a month has no usable value."""
    return np.asarray(ndvi(monthly_medians(seen.reflectance, seen.month).astype(np.float32)), float)
