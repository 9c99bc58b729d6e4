"""Confusion matrices: counting, coarsening along the legend, and the long table they are stored in.

A matrix has one row per true class and one column per predicted class, both in the order of ``ids``.
A true class that no model knows keeps its row, and a predicted class that nowhere grows keeps its column:
dropping either would raise every score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.evaluation.kernels import count_pairs
from cropflow.samples.labels import BACKGROUND

if TYPE_CHECKING:
    import pandas

    from cropflow.labels.legend import Legend

# pixel = interior + rim. Models learn from interior pixels alone, so the rim is the harder half.
UNITS = ("pixel", "interior", "rim", "parcel", "parcel_area")


def tally(
    truth: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    classes: int,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Count pairs of true and predicted class.

    Args:
        truth: Positions of the true classes, in [0, classes), ``(n,)``.
        predicted: Positions of the predicted classes, in [0, classes), ``(n,)``.
        classes: Number of classes.
        weights: What each pair counts, such as hectares, ``(n,)``; 1 where absent.

    Returns:
        Counts or summed weights, float64, ``(truth, predicted)``.

    Raises:
        ValueError: If a position lies outside the classes.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has the shape {truth.shape}, predicted {predicted.shape}")
    counts, strange = count_pairs(truth.ravel(), predicted.ravel(), classes, weights)
    for name, values in (("truth", truth), ("predicted", predicted)) if strange >= 0 else ():
        if int(values.min()) < 0 or int(values.max()) >= classes:
            raise ValueError(f"{name} spans {values.min()} to {values.max()}; expected 0 to {classes - 1}")
    return counts


def coarsen(confusion: NDArray[np.float64], groups: NDArray[np.integer[Any]], classes: int) -> NDArray[np.float64]:
    """Merge rows and columns: the matrix of the labels after mapping truth and prediction alike.

    Args:
        confusion: ``(..., truth, predicted)``.
        groups: Position of each class among the coarser classes, ``(class,)``.
        classes: Number of coarser classes.

    Returns:
        ``(..., truth, predicted)`` over the coarser classes.
    """
    membership = np.zeros((len(groups), classes))
    membership[np.arange(len(groups)), groups] = 1.0
    merged: NDArray[np.float64] = membership.T @ confusion @ membership
    return merged


def level_groups(legend: Legend, ids: Sequence[int], level: int) -> tuple[list[int], NDArray[np.int64]]:
    """Which class of a level each of the finest classes belongs to.

    Args:
        legend: The legend with its hierarchy.
        ids: Finest classes, ids of the legend; background (0) stays background at every level.
        level: 1 (coarsest) to the number of levels (finest).

    Returns:
        The ids of the level, ascending, and the position of each class's ancestor among them, int64, ``(class,)``.
    """
    ancestors = [BACKGROUND if crop == BACKGROUND else int(legend.ancestor(crop, level)) for crop in ids]
    coarse = sorted(set(ancestors))
    return coarse, np.array([coarse.index(ancestor) for ancestor in ancestors], dtype=np.int64)


def scored_ids(legend: Legend, models: Sequence[Sequence[int]]) -> list[int]:
    """The classes of the matrices: the whole finest level, and background where a model learnt it.

    Args:
        legend: The legend.
        models: Classes of each fold's model, ids of the legend.

    Raises:
        CropflowError: If a model has a class that the legend lacks.
    """
    known = {BACKGROUND, *map(int, legend.ids)}
    strange = sorted({int(crop) for classes in models for crop in classes} - known)
    if strange:
        raise CropflowError(
            f"Predictions have the classes {strange}, which the legend lacks; expected ids among "
            f"{min(known)} to {max(known)}. Train again with the present legend."
        )
    with_background = any(BACKGROUND in classes for classes in models)
    return [BACKGROUND] * with_background + sorted(known - {BACKGROUND})


def long_table(confusions: NDArray[np.float64], ids: Sequence[int], legend: Legend) -> pandas.DataFrame:
    """Write the matrices of all folds and units as one table, at every level; cells of zero are left out.

    Args:
        confusions: ``(fold, unit, truth, predicted)`` at the finest level, units in the order of ``UNITS``.
        ids: Classes of rows and columns, ids of the legend.
        legend: The legend with its hierarchy.

    Returns:
        Columns ``fold``, ``unit``, ``level``, ``truth``, ``predicted`` (ids), ``count`` (pixels, parcels, or
        hectares for the unit ``parcel_area``).
    """
    import pandas

    parts = []
    for level in range(1, legend.levels + 1):
        coarse, groups = level_groups(legend, ids, level)
        matrices = coarsen(confusions, groups, len(coarse))
        fold, unit, truth, predicted = np.nonzero(matrices)
        names = np.array(coarse, dtype=np.int32)
        parts.append(
            pandas.DataFrame(
                {
                    "fold": fold.astype(np.uint8),
                    "unit": np.array(UNITS)[unit],
                    "level": np.full(len(fold), level, dtype=np.uint8),
                    "truth": names[truth],
                    "predicted": names[predicted],
                    "count": matrices[fold, unit, truth, predicted],
                }
            )
        )
    return pandas.concat(parts, ignore_index=True).sort_values(
        ["fold", "unit", "level", "truth", "predicted"], ignore_index=True
    )
