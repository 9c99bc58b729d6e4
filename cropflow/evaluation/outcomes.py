"""The table of test parcels: what each was declared as, and what the model that never saw it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.confusion import tally
from cropflow.evaluation.parcels import NONE, ParcelSums, rank_parcels

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "region", "season", "site", "index", "parcel_id", "crop", "predicted", "probability", "second",
    "second_probability", "fold", "area_ha", "site_area_ha", "pixels",
)  # fmt: skip


def parcel_outcomes(parcels: pandas.DataFrame, sums: ParcelSums, classes: Sequence[int]) -> pandas.DataFrame:
    """Predict the parcels of one site and fold.

    Args:
        parcels: Rows of the sample set's parcel table: those of the site and fold whose crop is scored.
        sums: Summed probabilities by parcel index.
        classes: Classes of the sums, ids of the legend.

    Returns:
        The same rows with ``predicted`` and ``second`` (ids of the legend, -1 where there is none), their mean
        probabilities (NaN where there is none) and ``pixels`` (pixels with a prediction).
    """
    index = parcels["index"].to_numpy()
    ranking = rank_parcels(sums.means(index))
    names = np.append(np.asarray(classes, dtype=np.int32), np.int32(NONE))
    return parcels.assign(
        crop=parcels["crop"].astype(np.int32),
        predicted=names[ranking.first],
        probability=ranking.first_probability,
        second=names[ranking.second],
        second_probability=ranking.second_probability,
        pixels=sums.pixels[index],
    )


def parcel_confusions(outcomes: pandas.DataFrame, ids: Sequence[int], folds: int) -> NDArray[np.float64]:
    """Count parcels, and their hectares inside the sites.

    Args:
        outcomes: Parcels with a prediction.
        ids: Classes of the matrices, ids of the legend.
        folds: Number of folds.

    Returns:
        ``(fold, unit, truth, predicted)`` for the units ``parcel`` and ``parcel_area``.
    """
    confusions = np.zeros((folds, 2, len(ids), len(ids)))
    for fold in range(folds):
        rows = outcomes[outcomes["fold"] == fold]
        truth, predicted = positions(rows, ids)
        confusions[fold, 0] = tally(truth, predicted, len(ids))
        confusions[fold, 1] = tally(truth, predicted, len(ids), rows["site_area_ha"].to_numpy(dtype=np.float64))
    return confusions


def positions(outcomes: pandas.DataFrame, ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of true and predicted class of parcels with a prediction among ``ids`` (ascending)."""
    order = np.asarray(ids)
    return (
        np.searchsorted(order, outcomes["crop"].to_numpy()),
        np.searchsorted(order, outcomes["predicted"].to_numpy()),
    )
