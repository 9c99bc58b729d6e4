"""Predict the blocks that a model was not to see."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_folder
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import read_table
from cropflow.models.applying.layers import layers_of_samples, read_table_of_samples
from cropflow.models.applying.prediction import Predictor, check_series, load_predictor, takes_parcels
from cropflow.models.applying.windows import NOT_PREDICTED, predict_site
from cropflow.models.checkpoints import read_description
from cropflow.regions.grid import Grid
from cropflow.samples.sources import read_composites

log = logging.getLogger(__name__)

_BLOCK = 256


def predict_places(
    places: Sequence[str],
    samples: Sequence[Path],
    composites: Sequence[Mapping[str, Path]],
    folds: Sequence[Path],
    model: Path,
    fold: int,
    threads: int,
    output: Path,
    history: Sequence[Path] = (),
) -> dict[str, Any]:
    """Predict the test blocks of several places into one store.

    Args:
        places: ``region/season`` of each.
        samples: Its folder of samples, which says which sites have labels.
        composites: Its stores of composites: sensor -> store, in the order of the model's sensors.
        folds: Table of the blocks of its region.
        model: Folder of the trained model.
        fold: The test fold.
        threads: CPU threads.
        output: Store to write.
        history: Table of what grew on its parcels in earlier seasons, for a model that takes it.

    Returns:
        Per place and site: pixels of the test blocks, how many of them were predicted, and of models of parcels how
        many lie outside parcels.

    Raises:
        CropflowError: If the model learnt from this fold, or the composites do not fit it.
    """
    kept_out = read_description(model).fold
    if kept_out != fold:
        raise CropflowError(
            f"{model} was trained with test fold {kept_out}; expected {fold}, or its score means nothing."
        )
    predictor = load_predictor(model, threads)
    counts: dict[str, Any] = {}
    with atomic_folder(output) as temporary:
        store = create_store(temporary, {"classes": list(predictor.classes), "legend": predictor.legend, "fold": fold})
        tables: Sequence[Path | None] = history or [None] * len(places)
        for place, folder, stores, blocks, table in zip(places, samples, composites, folds, tables, strict=True):
            counts[place] = _predict_place(predictor, store, place, folder, stores, blocks, fold, table)
    return counts


def _predict_place(
    predictor: Predictor,
    store: zarr.Group,
    place: str,
    samples: Path,
    stores: Mapping[str, Path],
    folds: Path,
    fold: int,
    history: Path | None,
) -> dict[str, dict[str, int]]:
    from cropflow.samples.blocks import block_fold

    region, _, season = place.partition("/")
    group = store.require_group(region).require_group(season)
    grids, table = labelled_sites(samples), read_table(folds)
    composites = read_composites(stores, grids)
    check_series(predictor, composites.layouts, place)
    parcel_table = read_table_of_samples(samples) if takes_parcels(predictor) else None
    counts = {}
    for site, grid in grids.items():
        where = block_fold(grid, table) == fold
        series = composites.sites[site]
        parcels = None
        if parcel_table is not None:
            parcels = layers_of_samples(samples, site, parcel_table, history).of(predictor)
        probability = predict_site(predictor, series, where=where, days=series.dates, parcels=parcels)
        write_probability(group, site, grid, probability)
        wanted, predicted = int(where.sum()), int(np.count_nonzero(probability[0] != NOT_PREDICTED))
        counts[site] = {"test_pixels": wanted, "predicted": predicted}
        outside = ""
        if parcels is not None:
            counts[site]["outside_parcels"] = int((where & (parcels.index == 0)).sum())
            outside = f", {counts[site]['outside_parcels']} lie outside parcels"
        log.info("%s/%s: predicted %d of %d pixels of the test blocks%s", place, site, predicted, wanted, outside)
    return counts


def write_probability(store: zarr.Group, site: str, grid: Grid, probability: NDArray[np.uint16]) -> None:
    """Add the prediction of a site to a store: probabilities x 10000, uint16, ``(class, y, x)``; 65535 = none."""
    array = add_array(
        add_site(store, site, grid),
        "probability",
        ("class", "y", "x"),
        probability.shape,
        "uint16",
        chunks=(len(probability), _BLOCK, _BLOCK),
        nodata=NOT_PREDICTED,
        attributes={"scale": 0.0001, "nodata": NOT_PREDICTED},
    )
    array[:] = probability


def labelled_sites(samples: Path) -> dict[str, Grid]:
    """Sites with labels, and their grids, by name."""
    import rasterio

    from cropflow.files.rasters import grid_of

    grids = {}
    for path in sorted(samples.glob("*/crops.tif")):
        with rasterio.open(path) as raster:
            grids[path.parent.name] = grid_of(raster, path)
    if not grids:
        raise CropflowError(f"{samples} holds no <site>/crops.tif; expected a folder of samples. Run its rule.")
    return grids
