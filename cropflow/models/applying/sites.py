"""Apply a model to the sites of a place: a store of probabilities per pixel."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_folder
from cropflow.files.cubes import create_store
from cropflow.models.applying.held_out import write_probability
from cropflow.models.applying.layers import lay_out
from cropflow.models.applying.prediction import Predictor, check_series, takes_parcels
from cropflow.models.applying.windows import NOT_PREDICTED, predict_site
from cropflow.regions.grid import Grid
from cropflow.samples.sources import read_composites

if TYPE_CHECKING:
    import geopandas

log = logging.getLogger(__name__)


def apply_to_sites(
    predictor: Predictor,
    stores: Mapping[str, Path],
    grids: Mapping[str, Grid],
    output: Path,
    *,
    parcels: Mapping[str, geopandas.GeoDataFrame] | None = None,
    inner_buffer_m: float = 0.0,
    history: Path | None = None,
) -> dict[str, dict[str, int]]:
    """Predict every pixel of all sites, whether a model learnt there or not.

    Args:
        predictor: A trained model.
        stores: Sensor -> store of composites, in the order of the model's sensors.
        grids: Site -> grid.
        output: Zarr store to write: per site ``probability`` x 10000, uint16, ``(class, y, x)``, 65535 = not predicted.
        parcels: Site -> its parcels, which a model of parcels needs.
        inner_buffer_m: Rim of a parcel that such a model leaves out, metres.
        history: Table of what grew on the parcels in earlier seasons.

    Returns:
        Per site its pixels, those that were predicted, and of models of parcels those outside parcels.

    Raises:
        CropflowError: If the composites do not fit the model, or a model of parcels is given none.
    """
    if takes_parcels(predictor) and parcels is None:
        raise CropflowError(
            f"The model gives each parcel one answer (it learnt from {predictor.kind}), and --parcels is missing; "
            "expected the folder of the sites' parcels. Give it, or apply a model of patches or pixels."
        )
    composites = read_composites(stores, grids)
    check_series(predictor, composites.layouts, "The place")
    counts: dict[str, dict[str, int]] = {}
    with atomic_folder(output) as temporary:
        store = create_store(temporary, {"classes": list(predictor.classes), "legend": predictor.legend})
        for site, grid in grids.items():
            series, layers = composites.sites[site], None
            if parcels is not None and takes_parcels(predictor):
                layers = lay_out(parcels[site], grid, inner_buffer_m, history).of(predictor)
            probability = predict_site(predictor, series, days=series.dates, parcels=layers)
            write_probability(store, site, grid, probability)
            pixels, predicted = probability[0].size, int(np.count_nonzero(probability[0] != NOT_PREDICTED))
            counts[site] = {"pixels": pixels, "predicted": predicted}
            if layers is not None:
                counts[site]["outside_parcels"] = int((layers.index == 0).sum())
            log.info("%s: predicted %d of %d pixels", site, predicted, pixels)
    return counts
