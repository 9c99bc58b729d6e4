"""Build the samples of a region and season: layers per site, the table of parcels, and the accounts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas

from cropflow.config.base import dump
from cropflow.config.sections import SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import write_json
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid
from cropflow.samples.accounts import NO_VALUE, Accounts
from cropflow.samples.fold_summary import check_disjoint
from cropflow.samples.layers import Layers, build_layers
from cropflow.samples.parcels import (
    gather,
    is_labelled,
    look_up_folds,
    pixels_of_points,
    place_in_blocks,
    shuffle_crops,
)
from cropflow.samples.place import SETTINGS, write_layers
from cropflow.samples.sight import look
from cropflow.samples.sources import Composites

log = logging.getLogger(__name__)

COLUMNS = {
    "site": "str", "index": "uint32", "parcel_id": "str", "crop": "uint16", "fold": "uint8",
    "area_ha": "float64", "site_area_ha": "float64", "cut": "bool",
    "pixels": "int64", "interior_pixels": "int64", "usable_pixels": "int64", "unseen_pixels": "int64",
    "perimeter_m": "float64", "row": "int64", "column": "int64",
}  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """What samples are made from.

    Attributes:
        sites: Site -> grid.
        parcels: Site -> parcels clipped to it, in its UTM zone.
        crops: Crop id by parcel id.
        folds: Table of blocks with their folds.
        composites: The composites of the season, of every sensor.
    """

    sites: dict[str, Grid]
    parcels: dict[str, geopandas.GeoDataFrame]
    crops: pandas.Series[int]
    folds: pandas.DataFrame
    composites: Composites


def build_samples(sources: Sources, settings: SampleSet, folder: Path) -> dict[str, Any]:
    """Write the samples of a region and season into a folder.

    Args:
        sources: Sites, parcels, crops, folds and composites.
        settings: The sample set.
        folder: Existing, empty folder.

    Returns:
        The summary, which is written too.

    Raises:
        CropflowError: If no pixel is left to learn from.
        RuntimeError: If counts do not add up, or folds share ground.
    """
    parcels = place_in_blocks(gather(sources.parcels, sources.crops), settings.folds.block_m)
    parcels["fold"] = look_up_folds(parcels, sources.folds).to_numpy()
    if settings.shuffle_crops:
        parcels["crop"] = shuffle_crops(parcels, settings.background).to_numpy()
    accounts = Accounts()
    counted: list[pandas.DataFrame] = []
    for number, (site, grid) in enumerate(sources.sites.items(), start=1):
        table = parcels[parcels["site"] == site]
        clipped = sources.parcels[site].sort_values("index")
        crop, fold = table["crop"].to_numpy(dtype=np.uint16), table["fold"].to_numpy(dtype=np.uint8)
        check_disjoint(clipped, fold, sources.folds)
        sight = look(sources.composites.sites[site], settings.minimum_dates)
        layers = build_layers(clipped, crop, fold, grid, sources.folds, sight.has_value, settings)
        write_layers(layers, sight, folder / site)
        accounts.add(layers, clipped, crop, sight)
        counted.append(_count_pixels(table, layers))
        log.info(
            "site %s (%d of %d): %d parcels, %d of %d pixels usable",
            site, number, len(sources.sites), len(table), int(layers.usable.sum()), layers.usable.size,
        )  # fmt: skip
    whole = pandas.concat(counted, ignore_index=True)[list(COLUMNS)].astype(COLUMNS)
    write_table(folder / "parcels.parquet", whole)
    summary = {
        **accounts.summary(whole),
        "set": {key: value for key, value in dump(settings).items() if key in SETTINGS},
        "legend": settings.legend,
        "shuffled_crops": settings.shuffle_crops,
        "labelled_parcels": int(is_labelled(whole["crop"], settings.background).sum()),
    }
    _check_anything_left(summary["pixels"]["reasons"], len(sources.sites), settings)
    write_json(folder / "summary.json", summary)
    return summary


def _check_anything_left(reasons: dict[str, int], sites: int, settings: SampleSet) -> None:
    if not reasons["usable"]:
        seen = "raise series.max_gap" if settings.minimum_dates is None else "lower minimum_dates"
        raise CropflowError(
            f"No pixel of {sites} sites is left to learn from; expected at least one. Pixels by reason: "
            + ", ".join(f"{name} {number}" for name, number in reasons.items())
            + f". Lower folds.ring_m or inner_buffer_m, {seen}, or check the register's dates and place."
        )


def _count_pixels(parcels: pandas.DataFrame, layers: Layers) -> pandas.DataFrame:
    """Add the pixels of each parcel of a site, and the one that holds its representative point."""
    index, burnt, grid = parcels["index"].to_numpy(), layers.rasters.parcels, layers.grid
    chosen = {
        "pixels": burnt > 0,
        "interior_pixels": layers.rasters.interior,
        "usable_pixels": layers.usable,
        "unseen_pixels": layers.reason == NO_VALUE,
    }
    counts = {name: np.bincount(burnt[where], minlength=len(parcels) + 1)[index] for name, where in chosen.items()}
    points = pixels_of_points(parcels["point_x"].to_numpy(), parcels["point_y"].to_numpy(), grid)
    return parcels.assign(**counts, row=points[:, 0], column=points[:, 1])
