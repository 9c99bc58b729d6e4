"""Build the samples of a region and season: layers per site, the table of parcels, patches, and the accounts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.sections import SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import write_json
from cropflow.files.rasters import read_raster, write_cog
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid
from cropflow.samples.accounts import Accounts
from cropflow.samples.fold_summary import check_disjoint
from cropflow.samples.labels import IGNORE, NO_FOLD, UNKNOWN
from cropflow.samples.layers import Layers, build_layers
from cropflow.samples.parcels import gather, is_labelled, look_up_folds, place_in_blocks, shuffle_crops
from cropflow.samples.patches import LabelLayers, PatchArrays, build_index, draw_patches
from cropflow.samples.sources import Composites, in_all

log = logging.getLogger(__name__)

COLUMNS = [
    "site", "index", "parcel_id", "crop", "fold", "area_ha", "site_area_ha", "cut", "pixels", "interior_pixels",
]  # fmt: skip


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
    found: dict[str, pandas.DataFrame] = {}
    counted: list[pandas.DataFrame] = []
    for number, (site, grid) in enumerate(sources.sites.items(), start=1):
        table = parcels[parcels["site"] == site]
        clipped = sources.parcels[site].sort_values("index")
        crop, fold = table["crop"].to_numpy(dtype=np.uint16), table["fold"].to_numpy(dtype=np.uint8)
        check_disjoint(clipped, fold, sources.folds)
        has_value = sources.composites.sites[site].has_value()
        layers = build_layers(clipped, crop, fold, grid, sources.folds, in_all(has_value), settings)
        write_layers(layers, folder / site)
        accounts.add(layers, clipped, crop, has_value)
        found[site] = draw_patches(layers, settings.patch_size)
        counted.append(_count_pixels(table, layers))
        log.info(
            "site %s (%d of %d): %d parcels, %d of %d pixels usable, %d patches",
            site, number, len(sources.sites), len(table), int(layers.usable.sum()), layers.usable.size,
            len(found[site]),
        )  # fmt: skip
    whole = pandas.concat(counted, ignore_index=True)[COLUMNS]
    write_table(folder / "parcels.parquet", whole)
    summary = {
        **accounts.summary(whole),
        "legend": settings.legend,
        "shuffled_crops": settings.shuffle_crops,
        "labelled_parcels": int(is_labelled(whole["crop"], settings.background).sum()),
    }
    summary["patches"] = _write_patches(sources, settings, found, folder, summary)
    write_json(folder / "summary.json", summary)
    return summary


def write_layers(layers: Layers, folder: Path) -> None:
    """Write ``crops.tif``, ``parcels.tif`` and ``folds.tif`` of a site."""
    folder.mkdir()
    write_cog(folder / "crops.tif", layers.crops, layers.grid, IGNORE, names=["crop"])
    write_cog(folder / "parcels.tif", layers.rasters.parcels, layers.grid, 0, names=["parcel"])
    write_cog(folder / "folds.tif", layers.folds, layers.grid, NO_FOLD, names=["fold"])


def _count_pixels(parcels: pandas.DataFrame, layers: Layers) -> pandas.DataFrame:
    index = parcels["index"].to_numpy()
    burnt = layers.rasters.parcels
    pixels = np.bincount(burnt.ravel(), minlength=len(parcels) + 1)
    interior = np.bincount(burnt[layers.rasters.interior], minlength=len(parcels) + 1)
    return parcels.assign(pixels=pixels[index], interior_pixels=interior[index]).astype(
        {"index": "uint32", "crop": "uint16", "fold": "uint8", "pixels": "int64", "interior_pixels": "int64"}
    )


def _write_patches(
    sources: Sources, settings: SampleSet, found: dict[str, pandas.DataFrame], folder: Path, summary: dict[str, Any]
) -> dict[str, Any]:
    """Cut the patches, from the layers as they were written; returns what was cut."""
    index = build_index(found)
    if index.empty:
        reasons = summary["pixels"]["reasons"]
        raise CropflowError(
            f"No pixel of {len(sources.sites)} sites is left to learn from; expected at least one. Pixels by reason: "
            + ", ".join(f"{name} {number}" for name, number in reasons.items())
            + ". Raise series.max_gap, lower folds.ring_m or inner_buffer_m, or check the register's dates and place."
        )
    composites = sources.composites
    (folder / "patches").mkdir()
    arrays = PatchArrays(folder / "patches", len(index), composites.layouts, settings.patch_size)
    usable = 0
    for site in sources.sites:
        labels = _read_layers(folder / site, in_all(composites.sites[site].has_value()))
        usable += int(_usable(labels, settings.background).sum())
        arrays.add_site(index[index["site"] == site], composites.sites[site], labels)
    arrays.close()
    cut = int(_usable(LabelLayers(*(arrays.labels[name] for name in ("crops", "folds", "parcels"))),
                      settings.background).sum())  # fmt: skip
    if not cut == usable == summary["pixels"]["reasons"]["usable"]:
        raise RuntimeError(f"patches hold {cut} usable pixels, the layers {usable}, the accounts {summary['pixels']}")
    write_table(folder / "patches" / "index.parquet", index)
    write_json(
        folder / "patches" / "patches.json",
        {
            "sensors": [layout.told() for layout in composites.layouts],
            "legend": settings.legend,
            "patch_size": settings.patch_size,
            "background": settings.background,
            "shuffled_crops": settings.shuffle_crops,
            "patches": len(index),
            "pixels": cut,
        },
    )
    per_site = index["site"].value_counts()
    return {
        "total": len(index),
        "pixels": cut,
        "sites": {site: int(per_site.get(site, 0)) for site in sources.sites},
    }


def _read_layers(folder: Path, has_value: NDArray[np.bool_]) -> LabelLayers:
    crops, folds, parcels = (read_raster(folder / f"{name}.tif")[0][0] for name in ("crops", "folds", "parcels"))
    # A pixel with a period that has no value is not learnt from.
    return LabelLayers(np.where(has_value, crops, IGNORE).astype(np.uint16), folds, parcels)


def _usable(labels: LabelLayers, background: bool) -> NDArray[np.bool_]:
    """Where training sees a target: a crop and a fold."""
    target = (labels.crops < UNKNOWN) & ((labels.crops > 0) | background)
    return np.asarray(target & (labels.folds != NO_FOLD))
