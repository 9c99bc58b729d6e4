"""The ceiling: how well a classifier does that knows the model by which the landscape was made.

It knows the region's and the season's conditions, every scene's orbit, haze and cloud, and the shares of the crops
among small and large parcels. It simulates parcels of every crop under these conditions, sees them on the dates and
through the sky of real parcels, fits Gaussians to their monthly medians and classifies the real parcels. It never
sees the truth of a single parcel. It is the ceiling of parcel-wise classification from Sentinel-2 monthly medians, up
to the Gaussian form; what neighbours and outlines tell beyond a parcel's size is not in it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.sections import BANDS_10M, SENTINEL2_BANDS, Season
from cropflow.config.simulation import Simulation
from cropflow.simulation.acquisitions import Acquisition, tile_name
from cropflow.simulation.archive import SENTINEL2, scene_name, season_acquisitions
from cropflow.simulation.calendars import Annual
from cropflow.simulation.clouds import Sky
from cropflow.simulation.crops import CROPS
from cropflow.simulation.gaussians import classify, fit
from cropflow.simulation.landscape import SimulatedLandscape
from cropflow.simulation.noise import generator
from cropflow.simulation.observation import Members, Observation, find_members, observe_season
from cropflow.simulation.parameters import numbers
from cropflow.simulation.phenology import Traits, calendar_of, canopies, covers, draw_traits, pale_flowers, textures
from cropflow.simulation.register import declare
from cropflow.simulation.sentinel2 import Optics, through
from cropflow.simulation.spectra import mix, soils
from cropflow.simulation.surface import build_surface, pattern_response

log = logging.getLogger(__name__)
Float32 = NDArray[np.float32]
VIRTUAL_PARCELS = 400
_SHRINKAGES = (0.6, 0.9, 1.0)
# Small, middling and large parcels, 10 m pixels: crops differ in their sizes, and small parcels carry their
# neighbours' light.
_SIZES = (0, 12, 60)
# A size class counts as this many parcels of the landscape's own shares.
_PRIOR_STRENGTH = 4.0
_FINE = np.array([band in BANDS_10M for band in SENTINEL2_BANDS])


def ceiling(
    archive_folder: Path,
    landscapes: Sequence[SimulatedLandscape],
    simulation: Simulation,
    seasons: Mapping[str, Season],
) -> dict[str, Any]:
    """Classify the parcels of every landscape and imagery season with the true model.

    Args:
        archive_folder: Folder that :func:`cropflow.simulation.archive.write_archive` filled.
        landscapes: The landscapes.
        simulation: Seed, imagery seasons and knobs.
        seasons: Season -> dates.

    Returns:
        JSON-ready: ``<landscape>/<season>`` -> accuracy against the true and against the declared crops, parcels and
        recall per crop.
    """
    result: dict[str, Any] = {}
    tiles: list[str] = []
    declared = {season: _declared_crops(landscapes, season, simulation) for season in simulation.imagery_seasons}
    for land in sorted(landscapes, key=lambda one: one.name):
        tiles.append(tile_name(land.grid, tiles))
        for season in simulation.imagery_seasons:
            codes = declared[season][land.name]
            found = _season(archive_folder, land, season, tiles[-1], simulation, seasons, codes)
            result[f"{land.name}/{season}"] = found
            log.info(
                "%s %s: the true model is right in %.3f of %d parcels",
                *(land.name, season, found["overall_accuracy"], found["parcels"]),
            )
    return result


def _declared_crops(
    landscapes: Sequence[SimulatedLandscape], season: str, simulation: Simulation
) -> dict[str, list[str]]:
    """Declared crop of every field by landscape, in the order of the fields; empty where the register misses it."""
    crop_of = {crop.rpg_code: key for key, crop in CROPS.items()}
    fields = declare(landscapes, season, simulation).fields
    result = {}
    for land in landscapes:
        own = fields[fields["landscape"] == land.name].set_index("field")["code"]
        codes = own.reindex(land.seasons[season].table.index).fillna("")
        result[land.name] = [crop_of.get(str(code), "") for code in codes]
    return result


def _season(
    folder: Path,
    land: SimulatedLandscape,
    season: str,
    tile: str,
    simulation: Simulation,
    seasons: Mapping[str, Season],
    declared: Sequence[str],
) -> dict[str, Any]:
    """The ceiling of one landscape and season."""
    surface = build_surface(simulation.seed, land, season, seasons[season], simulation.difficulty, with_patterns=False)
    optics = Optics(simulation.seed, land, surface, simulation.difficulty)
    acquisitions, ranks = season_acquisitions(land, season, simulation, seasons)
    folders = [folder / SENTINEL2 / scene_name(one, one.products[-1], tile) for one in acquisitions]
    truth = np.array([str(crop) for crop in land.seasons[season].table["crop"]], dtype=object)
    members = find_members(land.seasons[season].raster, land.soil, len(truth))
    observations = observe_season(folders, acquisitions, ranks, members, optics)

    clear = np.stack([one.clear for one in observations], axis=1)
    values = np.stack([one.reflectance for one in observations], axis=1)
    values[~clear] = np.nan
    period = np.array([12 * one.time.year + one.time.month for one in acquisitions])
    period -= period.min()
    real = monthly_medians(values, period)
    judged = np.flatnonzero(clear.any(axis=1))

    crops = sorted(set(truth))
    kind = np.searchsorted(np.array(crops, dtype=object), truth)
    share = np.bincount(kind, minlength=len(crops)) / len(truth)
    size = np.searchsorted(_SIZES, members.count, side="right")
    rng = generator(simulation.seed, "oracle", land.name, season)
    virtual = _Virtual(optics, acquisitions, observations, clear, members, crops, share)
    flat = real.reshape(len(truth), -1)
    predicted = np.empty(len(truth), dtype=object)
    shrinkages: dict[str, float] = {}
    for index, smallest in enumerate(_SIZES, start=1):
        rows = judged[size[judged] == index]
        if rows.size == 0:
            continue
        prior = np.bincount(kind[size == index], minlength=len(crops)) + _PRIOR_STRENGTH * share
        log_prior = np.log(prior / prior.sum())
        features, component, owner = virtual.draw(rng, period, rows)
        shrinkage = _choose_shrinkage(features, component, owner, log_prior)
        model = fit(features, component, owner, log_prior, shrinkage)
        predicted[rows] = np.array(crops, dtype=object)[classify(model, flat[rows])]
        shrinkages[f"from {smallest} pixels"] = shrinkage
    predicted = predicted[judged]
    return {
        **_scores(predicted, truth[judged], crops),
        "declared": _scores(predicted, np.array(declared, dtype=object)[judged], crops),
        "parcels_unseen": int(truth.size - judged.size),
        "virtual_parcels_per_crop": VIRTUAL_PARCELS,
        "shrinkage": shrinkages,
        "features": "monthly medians of ten Sentinel-2 bands, parcel means",
    }


def monthly_medians(values: Float32, period: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median over the valid dates of each period.

    Args:
        values: ``(parcel, date, band)``, NaN where not seen.
        period: Period of each date, 0-based.

    Returns:
        ``(parcel, period, band)``; NaN where a period has no value.
    """
    result = np.full((values.shape[0], int(period.max()) + 1, values.shape[2]), np.nan)
    for index in range(result.shape[1]):
        part = np.sort(values[:, period == index], axis=1)  # NaN last
        count = (~np.isnan(part[:, :, :1])).sum(axis=1, keepdims=True)
        if part.shape[1]:
            low = np.take_along_axis(part, np.maximum((count - 1) // 2, 0), axis=1)
            high = np.take_along_axis(part, np.maximum(count // 2 - (count == 0), 0), axis=1)
            result[:, index] = np.where(count[:, 0] > 0, (low + high)[:, 0] / 2, np.nan)
    return result


def _scores(predicted: NDArray[Any], reference: NDArray[Any], crops: Sequence[str]) -> dict[str, Any]:
    """Overall and balanced accuracy, and recall per crop; parcels without a reference do not count."""
    known = reference != ""
    predicted, reference = predicted[known], reference[known]
    recall = {
        crop: round(float((predicted[reference == crop] == crop).mean()), 4)
        for crop in crops
        if (reference == crop).any()
    }
    return {
        "overall_accuracy": round(float((predicted == reference).mean()), 4) if known.any() else None,
        "balanced_accuracy": round(float(np.mean(list(recall.values()))), 4) if recall else None,
        "parcels": int(known.sum()),
        "parcels_per_crop": {crop: int((reference == crop).sum()) for crop in recall},
        "recall": recall,
    }


def _choose_shrinkage(
    features: NDArray[np.float64], component: NDArray[np.int64], owner: NDArray[np.int64], log_prior: NDArray[Any]
) -> float:
    """The shrinkage that classifies one half of the simulated parcels best, learnt from the other half."""
    half = np.arange(len(features)) % 2 == 0
    known = np.flatnonzero(np.bincount(component[half], minlength=owner.size) > 1)
    if known.size < owner.size:
        return _SHRINKAGES[-1]
    scores = []
    for shrinkage in _SHRINKAGES:
        model = fit(features[half], component[half], owner, log_prior, shrinkage)
        right = classify(model, features[~half]) == owner[component[~half]]
        weight = np.exp(log_prior)[owner[component[~half]]]
        scores.append(float((right * weight).sum() / weight.sum()))
    return _SHRINKAGES[int(np.argmax(scores))]


class _Virtual:
    """Simulated parcels under the true conditions, seen where and when real parcels are seen."""

    def __init__(
        self,
        optics: Optics,
        acquisitions: list[Acquisition],
        observations: list[Observation],
        clear: NDArray[np.bool_],
        members: Members,
        crops: list[str],
        prior: NDArray[np.float64],
    ) -> None:
        self.optics, self.acquisitions, self.observations = optics, acquisitions, observations
        self.clear, self.members, self.crops, self.prior = clear, members, crops, prior

    def draw(
        self, rng: np.random.Generator, period: NDArray[np.int64], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Draw parcels of every crop.

        Args:
            rng: Source of the draws.
            period: Period of each date.
            places: Real parcels in whose places the simulated ones stand.

        Returns:
            Features ``(sample, period x band)``, component of each sample, crop of each component.
        """
        count = VIRTUAL_PARCELS * len(self.crops)
        kind = np.arange(count) % len(self.crops)
        names = [self.crops[index] for index in kind]
        knobs = self.optics.difficulty
        traits = draw_traits(rng, count, knobs.parcel_variation, knobs.catch_crops)
        # Each stands where a real parcel stands: its size, soil, neighbours' light, sky and clear dates.
        place = places[rng.integers(0, len(places), count)]
        ground = self._ground(rng, names, traits, place)
        seen = self._seen(rng, ground, kind, place)
        clear = self.clear[place]
        # A month without a clear date is seen as if the sky were: the feature is left out where it is missing.
        for month in range(int(period.max()) + 1):
            dates = np.flatnonzero(period == month)
            blind = ~clear[:, dates].any(axis=1)
            for date in dates:
                seen[blind, date] = ground[blind, date]
                clear[blind, date] = True
        seen[~clear] = np.nan
        features = monthly_medians(seen, period).reshape(count, -1)
        component, owner = _components(names, kind, traits)
        return features, component, owner

    def _ground(self, rng: np.random.Generator, names: list[str], traits: Traits, place: NDArray[np.int64]) -> Float32:
        """Mean reflectance of each parcel on each date under a clear sky, ``(parcel, date, band)``."""
        surface, knobs = self.optics.surface, self.optics.difficulty
        dates = [one.time.date() for one in self.acquisitions]
        cover = covers(names, surface.days(dates), traits, surface.conditions)
        canopy, pale, texture = canopies(names, traits), pale_flowers(names), textures(names)
        dryness = surface.moisture.on(dates)[0]
        # The mean of the pattern over a parcel: large parcels hold many patches, small ones one.
        patches = 1 + 100 * self.members.count[place] / float(np.prod(numbers("pixel.length")) * np.pi)
        mean = rng.standard_normal((2, len(names))) / np.sqrt(patches)
        angle = 2 * np.pi * surface.days(dates) / 365.25
        soil_of = self.members.soil[place]
        rows = np.arange(len(names))
        ground = np.empty((len(names), len(dates), len(SENTINEL2_BANDS)), np.float32)
        for index in range(len(dates)):
            soil = soils(float(dryness[index]))
            green, straw, flower = (layer[:, index] for layer in (cover.green, cover.straw, cover.flower))
            level = mix(green, straw, flower, soil, canopy, pale)[rows, soil_of]
            pattern = np.cos(angle[index]) * mean[0] + np.sin(angle[index]) * mean[1]
            answer = pattern_response(green, knobs.pixel_variation * texture, canopy, soil, knobs.pixel_variation)
            ground[:, index] = level + pattern[:, None] * answer[rows, soil_of]
        return ground

    def _seen(
        self, rng: np.random.Generator, ground: Float32, kind: NDArray[np.int64], place: NDArray[np.int64]
    ) -> Float32:
        """What the sensor measures of each parcel, ``(parcel, date, band)``; ``ground`` gains its neighbours' light."""
        purity = np.where(_FINE[:, None], *(self.members.purity[level, place] for level in (0, 1))).T[:, None, :]
        neighbour = rng.choice(len(kind), len(kind), p=self.prior[kind] / self.prior[kind].sum())
        ground[...] = purity * ground + (1 - purity) * ground[neighbour]
        seen = np.empty_like(ground)
        floor, share = numbers("sentinel2.noise")
        for index, (acquisition, observation) in enumerate(zip(self.acquisitions, self.observations, strict=True)):
            factor, bias = self.optics.effects(acquisition)
            ground[:, index] = ground[:, index] * factor + bias
            layers = observation.sky
            sky = Sky(
                layers.cloud[place], layers.cirrus[place], layers.shadow[place], layers.veil[place], layers.brightness
            )
            for band in range(len(SENTINEL2_BANDS)):
                seen[:, index, band] = through(ground[:, index, band], sky, band, np.ones(1, np.float32))
            noise = rng.standard_normal(seen[:, index].shape, np.float32) * np.float32(self.optics.difficulty.noise)
            seen[:, index] += noise * (floor + share * seen[:, index]) / np.sqrt(self.members.count[place])[:, None]
        return seen


def _components(
    names: list[str], kind: NDArray[np.int64], traits: Traits
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split crops that come in two forms (winter cover or bare ground): a Gaussian each."""
    form = np.zeros(len(names), np.int64)
    for index, name in enumerate(names):
        calendar = calendar_of(name)
        if isinstance(calendar, Annual):
            form[index] = int(traits.covered[index]) if calendar.winter == "catch" else 0
        elif calendar.bare_winter > 0:
            form[index] = int(traits.choice[index] < calendar.bare_winter)
    keys, component = np.unique(2 * kind + form, return_inverse=True)
    return component.astype(np.int64), (keys // 2).astype(np.int64)
