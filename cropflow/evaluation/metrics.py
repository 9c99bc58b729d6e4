"""The content of ``metrics.json``: every figure with its folds, interval and support.

Keys are ``<level>.<unit>.<metric>``, such as ``level_3.parcel.macro_f1``; undefined figures are null.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.confusion import UNITS, coarsen, level_groups
from cropflow.evaluation.scores import METRICS, PER_CLASS, average_scores, class_scores
from cropflow.samples.labels import BACKGROUND

if TYPE_CHECKING:
    from cropflow.labels.legend import Legend

VERSION = 1
PARCEL_UNITS = ("parcel", "parcel_area")
Intervals = dict[str, list[dict[str, list[float] | None]]]


def level_name(level: int) -> str:
    """Key of a level: ``level_1`` (coarsest) to that of the finest, ``level_3`` where a legend has three."""
    return f"level_{level}"


def class_name(legend: Legend, crop: int) -> str:
    """Name of a class; 0 is background."""
    return "background" if crop == BACKGROUND else str(legend.name(crop))


def average_metrics(
    confusions: NDArray[np.float64], ids: Sequence[int], legend: Legend, intervals: Intervals | None = None
) -> dict[str, dict[str, Any]]:
    """Score all matrices: the folds pooled, and each fold.

    Args:
        confusions: ``(fold, unit, truth, predicted)`` at the finest level, units in the order of ``UNITS``.
        ids: Classes of rows and columns, ids of the legend.
        legend: The legend with its hierarchy.
        intervals: Parcel unit -> per level, coarsest first: metric -> interval.

    Returns:
        ``<level>.<unit>.<metric>`` -> ``value`` of the summed matrix, ``per_fold``, ``fold_mean``, ``fold_sd``
        (sample standard deviation), ``interval`` (null but for parcels), ``support`` (pixels, parcels or hectares).
    """
    found: dict[str, dict[str, Any]] = {}
    for order, level in enumerate(range(1, legend.levels + 1)):
        coarse, groups = level_groups(legend, ids, level)
        matrices = coarsen(confusions, groups, len(coarse))
        pooled, single = average_scores(matrices.sum(axis=0)), average_scores(matrices)
        support = matrices.sum(axis=(0, 2, 3))
        for unit, unit_name in enumerate(UNITS):
            known = (intervals or {}).get(unit_name)
            for metric in METRICS:
                folds = single[metric][:, unit]
                defined = folds[~np.isnan(folds)]
                found[f"{level_name(level)}.{unit_name}.{metric}"] = {
                    "value": number(pooled[metric][unit]),
                    "per_fold": [number(value) for value in folds],
                    "fold_mean": number(defined.mean()) if defined.size else None,
                    "fold_sd": number(defined.std(ddof=1)) if defined.size > 1 else None,
                    "interval": known[order][metric] if known else None,
                    "support": amount(support[unit]),
                }
    return found


def class_metrics(
    confusions: NDArray[np.float64], ids: Sequence[int], legend: Legend, models: Sequence[Sequence[int]]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Score each class, the folds pooled.

    Args:
        confusions: ``(fold, unit, truth, predicted)`` at the finest level.
        ids: Classes of rows and columns, ids of the legend.
        legend: The legend with its hierarchy.
        models: Classes that each fold's model knows, ids of the legend.

    Returns:
        Level -> unit -> one entry per class that is in the test data, or in a model, or predicted: ``id``, ``name``,
        ``precision``, ``recall``, ``f1``, ``iou``, ``support``, ``predicted``, ``absent_folds`` (no test data) and
        ``untrained_folds`` (has test data, but the model does not know the class).
    """
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for level in range(1, legend.levels + 1):
        coarse, groups = level_groups(legend, ids, level)
        matrices = coarsen(confusions, groups, len(coarse))
        trained = trained_classes(models, ids, groups, len(coarse))
        support, predicted = matrices.sum(axis=3), matrices.sum(axis=2)
        scores = class_scores(matrices.sum(axis=0))
        found[level_name(level)] = {
            unit_name: [
                {
                    "id": crop,
                    "name": class_name(legend, crop),
                    **{name: number(scores[name][unit, position]) for name in PER_CLASS},
                    "support": amount(support[:, unit, position].sum()),
                    "predicted": amount(predicted[:, unit, position].sum()),
                    "absent_folds": np.flatnonzero(support[:, unit, position] == 0).tolist(),
                    "untrained_folds": np.flatnonzero(
                        (support[:, unit, position] > 0) & ~trained[:, position]
                    ).tolist(),
                }
                for position, crop in enumerate(coarse)
                if trained[:, position].any() or support[..., position].any() or predicted[..., position].any()
            ]
            for unit, unit_name in enumerate(UNITS)
        }
    return found


def fold_summaries(
    confusions: NDArray[np.float64], ids: Sequence[int], models: Sequence[Sequence[int]], minimum_parcels: int
) -> list[dict[str, Any]]:
    """What each test fold holds, and a warning where it holds too little.

    Returns:
        Per fold: ``fold``, ``parcels`` scored, ``hectares``, ``pixels``, ``classes`` in the test parcels or pixels,
        ``classes_absent`` (found in other folds alone, or nowhere but in a model), ``classes_untrained`` (in the test
        data, unknown to the model), ``warning`` or null.
    """
    support = confusions.sum(axis=3)
    parcel, area, pixel = (UNITS.index(name) for name in ("parcel", "parcel_area", "pixel"))
    trained = trained_classes(models, ids, np.arange(len(ids)), len(ids))
    expected = trained.any(axis=0) | support.any(axis=(0, 1))
    names = np.asarray(ids)
    summaries = []
    for fold in range(len(confusions)):
        present = support[fold].any(axis=0)
        parcels = int(support[fold, parcel].sum())
        summaries.append(
            {
                "fold": fold,
                "parcels": parcels,
                "hectares": amount(support[fold, area].sum()),
                "pixels": int(support[fold, pixel].sum()),
                "classes": names[present].tolist(),
                "classes_absent": names[expected & ~present].tolist(),
                "classes_untrained": names[present & ~trained[fold]].tolist(),
                "warning": f"Test fold {fold} has {parcels} parcels, fewer than {minimum_parcels}: "
                "its scores are no statement about accuracy."
                if parcels < minimum_parcels
                else None,
            }
        )
    return summaries


def without_background(confusions: NDArray[np.float64], ids: Sequence[int]) -> NDArray[np.float64]:
    """Leave out what truly is background; a crop that is predicted as background stays an error."""
    crops_only = confusions.copy()
    crops_only[:, :, [position for position, crop in enumerate(ids) if crop == BACKGROUND], :] = 0.0
    return crops_only


def trained_classes(
    models: Sequence[Sequence[int]], ids: Sequence[int], groups: NDArray[np.int64], classes: int
) -> NDArray[np.bool_]:
    """Which classes of a level each fold's model knows, bool, ``(fold, class)``."""
    trained = np.zeros((len(models), classes), dtype=bool)
    for fold, known in enumerate(models):
        trained[fold, groups[np.isin(np.asarray(ids), np.asarray(known))]] = True
    return trained


def number(value: float) -> float | None:
    """A JSON number of ten digits; null where undefined."""
    return None if math.isnan(value) else round(float(value), 10)


def amount(value: float) -> float | int:
    """A JSON number for pixels, parcels or hectares: whole where it is whole."""
    return int(value) if float(value).is_integer() else round(float(value), 10)
