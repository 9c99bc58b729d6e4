"""Samples and scores by which the simulation is judged: forests on single pixels, gaps, quantile distances."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty
from cropflow.simulation.crops import CROPS, STYLES
from cropflow.simulation.noise import generator
from cropflow.simulation.observation import monthly_medians
from cropflow.simulation.plots import PixelSeason, lay_plots, see_pixels

Float64 = NDArray[np.float64]
# Pixels of FR23 by crop: the ten crops with ten pixels or more.
FR23_PIXELS = {
    "permanent_grass": 113, "maize": 83, "winter_wheat": 55, "fallow": 29, "sunflower": 21, "rapeseed": 14,
    "soy": 13, "vines": 13, "winter_barley": 11, "temporary_grass": 10,
}  # fmt: skip
# West and south-west of France, degrees east and north.
FR23_BOX = (-1.5, 43.3, 2.0, 48.3)


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
    return np.nan_to_num(result.reshape(len(result), -1), nan=0.0)


def sample_france(
    seed: int, season: Season, lands: int = 40, plots: int = 10, difficulty: Difficulty | None = None
) -> list[PixelSeason]:
    """Pixels like those of FR23: ten crops in its shares, lands scattered over the west and south-west of France."""
    west, south, east, north = FR23_BOX
    rng = generator(seed, "gate", "FR23")
    seen = []
    for index in range(lands):
        centre = (float(rng.uniform(west, east)), float(rng.uniform(south, north)))
        style = "southern" if centre[1] < 45 else "livestock" if centre[0] < 0 else "cereal"
        crops = rng.choice(list(FR23_PIXELS), plots, p=_weights(style))
        land = lay_plots(seed, f"land {index}", centre, {"s": [str(crop) for crop in crops]})
        seen.append(see_pixels(seed, land, "s", season, difficulty or Difficulty()))
    return seen


def _weights(style: str) -> Float64:
    """Chance of each crop of FR23 in a style: its pixels, moved by how much more of it the style grows."""
    weights = []
    for crop, pixels in FR23_PIXELS.items():
        shares = CROPS[crop].shares
        weights.append(pixels * shares[style] / np.mean([shares[one] for one in STYLES]))
    return np.asarray(weights) / sum(weights)


def forest(seed: int = 0) -> Any:
    """A random forest of 300 trees."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(300, random_state=seed, n_jobs=1)


def cross_validated(features: Float64, crop: NDArray[Any], groups: NDArray[np.int64] | None) -> Mapping[str, float]:
    """Overall accuracy and macro F1 of a forest in five folds; with groups, no group is on both sides."""
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.model_selection import GroupKFold, KFold

    splitter = KFold(5, shuffle=True, random_state=0) if groups is None else GroupKFold(5)
    predicted = np.empty(len(crop), dtype=object)
    for train, test in splitter.split(features, crop, groups):
        predicted[test] = forest().fit(features[train], crop[train].astype(str)).predict(features[test])
    truth = crop.astype(str)
    return {
        "accuracy": float(accuracy_score(truth, predicted.astype(str))),
        "macro_f1": float(f1_score(truth, predicted.astype(str), average="macro", zero_division=0)),
    }
