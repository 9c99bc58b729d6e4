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

from cropflow.config.sections import Season
from cropflow.config.simulation import Simulation
from cropflow.simulation.acquisitions import tile_name
from cropflow.simulation.archive import SENTINEL2, scene_name, season_acquisitions
from cropflow.simulation.crops import crop_of_code
from cropflow.simulation.gaussians import classify, fit
from cropflow.simulation.landscape import SimulatedLandscape
from cropflow.simulation.noise import generator
from cropflow.simulation.observation import find_members, monthly_medians, observe_season
from cropflow.simulation.register import declare
from cropflow.simulation.sentinel2 import Optics
from cropflow.simulation.surface import build_surface
from cropflow.simulation.virtual_parcels import VIRTUAL_PARCELS, VirtualParcels

log = logging.getLogger(__name__)
_SHRINKAGES = (0.6, 0.9, 1.0)
# Small, middling and large parcels, 10 m pixels: crops differ in their sizes, and small parcels carry their
# neighbours' light.
_SIZES = (0, 12, 60)
# A size class counts as this many parcels of the landscape's own shares.
_PRIOR_STRENGTH = 4.0


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
    crop_of = crop_of_code()
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
    virtual = VirtualParcels(optics, acquisitions, observations, clear, members, crops, share)
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
