"""The parcel product: for each parcel the likeliest crop, the runner-up, and whether the declared crop is doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.metrics import class_name
from cropflow.evaluation.parcels import NONE, NOT_PREDICTED, ParcelSums, rank_parcels

if TYPE_CHECKING:
    import geopandas

    from cropflow.labels.legend import Legend

# A doubt is worth a look at the field, so it takes a model that is sure of another crop (it gives more to that one
# than to all others together) and that gives the declared one little: less than two in ten.
DOUBT_PREDICTED = 0.5
DOUBT_DECLARED = 0.2

COLUMNS = (
    "site", "index", "parcel_id", "crop_code", "crop", "crop_name", "predicted", "predicted_name", "probability",
    "second", "second_name", "second_probability", "doubt", "pixels", "area_ha", "cut", "geometry",
)  # fmt: skip


def sum_parcels(
    probability: NDArray[np.uint16],
    index: NDArray[np.integer[Any]],
    largest_index: int,
    pixel_fold: NDArray[np.uint8] | None = None,
    parcel_fold: NDArray[np.uint8] | None = None,
) -> ParcelSums:
    """Sum the probabilities over each parcel's pixels.

    A parcel across the border of two folds was learnt from by the model of the second: where folds are given, only
    the pixels of its own fold count. A parcel without any such pixel takes all of its pixels.

    Args:
        probability: Probabilities x 10000, 65535 = not predicted, uint16, ``(class, y, x)``.
        index: Parcel index of each pixel, 0 = none, ``(y, x)``.
        largest_index: Largest index there is.
        pixel_fold: Fold of each pixel's block, uint8, ``(y, x)``.
        parcel_fold: Fold of each parcel, uint8, ``(index,)``.
    """
    usable = (index > 0) & (probability[0] != NOT_PREDICTED)
    sums = ParcelSums(largest_index, len(probability))
    if pixel_fold is None or parcel_fold is None:
        sums.add(index[usable], probability[:, usable])
        return sums
    own = usable & (pixel_fold == parcel_fold[index])
    sums.add(index[own], probability[:, own])
    rest = usable & (sums.pixels == 0)[index]
    sums.add(index[rest], probability[:, rest])
    return sums


def parcel_product(
    parcels: geopandas.GeoDataFrame,
    sums: ParcelSums,
    classes: Sequence[int],
    legend: Legend,
    declared: NDArray[np.integer[Any]],
) -> geopandas.GeoDataFrame:
    """Predict the parcels of a site.

    Args:
        parcels: ``site``, ``index``, ``parcel_id``, ``crop_code``, ``area_ha``, ``cut`` and geometry, any CRS.
        sums: Summed probabilities by parcel index.
        classes: Classes of the sums, ids of the legend.
        legend: The legend.
        declared: Declared crop of each row: id of the legend, 0 out of its scope, 65534 unknown, -1 undeclared.

    Returns:
        One row per parcel in EPSG:4326 with the columns ``COLUMNS``: ids of the legend (-1: none), names (empty: none),
        mean probabilities in [0, 1] (NaN: none), pixels predicted, hectares. ``doubt`` is True where the models know
        the declared crop, are sure of another one and give the declared one little.
    """
    means = sums.means(parcels["index"].to_numpy())
    ranking = rank_parcels(means)
    ids = np.append(np.asarray(classes, dtype=np.int32), np.int32(NONE))
    predicted, second = ids[ranking.first], ids[ranking.second]
    declared = np.asarray(declared, dtype=np.int32)
    known = np.isin(declared, np.asarray(legend.ids)) & np.isin(declared, ids[:-1])
    column = np.searchsorted(ids[:-1], np.where(known, declared, ids[0]))
    declared_probability = means[np.arange(len(means)), column]
    # NaN compares as False: a parcel without a prediction is never doubtful.
    doubt = (
        known
        & (predicted != declared)
        & (ranking.first_probability >= DOUBT_PREDICTED)
        & (declared_probability < DOUBT_DECLARED)
    )
    names = {int(crop): class_name(legend, int(crop)) for crop in {0, *legend.ids}}
    return parcels.assign(
        crop=declared,
        crop_name=[names.get(int(crop), "") for crop in declared],
        predicted=predicted,
        predicted_name=[names.get(int(crop), "") for crop in predicted],
        probability=ranking.first_probability,
        second=second,
        second_name=[names.get(int(crop), "") for crop in second],
        second_probability=ranking.second_probability,
        doubt=doubt,
        pixels=sums.pixels[parcels["index"].to_numpy()],
    )[list(COLUMNS)].to_crs("EPSG:4326")
