"""How sure a parcel score is: resampled parcels, and the standard error of balanced accuracy.

Both treat parcels as drawn one by one. Neighbouring parcels share soil, weather and scenes, so the truth is wider;
the spread over folds, which lie apart, shows by how much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.confusion import coarsen, tally
from cropflow.evaluation.scores import METRICS, average_scores

RESAMPLES = 500
CONFIDENCE_PERCENT = 95


def parcel_intervals(
    truth: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    weights: NDArray[np.float64],
    levels: list[tuple[NDArray[np.int64], int]],
    classes: int,
    seed: int,
) -> list[dict[str, list[float] | None]]:
    """Bootstrap over parcels: the middle 95 % of each average when parcels are drawn with replacement.

    A resample may lack the rarest classes; they drop out of its averages, as an absent class does anywhere.
    Where they score otherwise than common classes, the interval is lopsided and may hardly contain the score.

    Args:
        truth: Position of each parcel's true class at the finest level, ``(parcel,)``.
        predicted: Position of its predicted class, ``(parcel,)``.
        weights: What each parcel counts: 1 or hectares, ``(parcel,)``.
        levels: For each level the group of each finest class and the number of groups.
        classes: Number of finest classes.
        seed: Seed of the draws.

    Returns:
        For each level: metric -> [low, high], or None where it is undefined in every resample.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13: percentile interval.
    """
    parcels = len(truth)
    if parcels == 0:
        return [dict.fromkeys(METRICS) for _ in levels]
    generator = np.random.default_rng(seed)
    resampled = np.empty((RESAMPLES, classes, classes))
    for draw in range(RESAMPLES):
        times = np.bincount(generator.integers(parcels, size=parcels), minlength=parcels)
        resampled[draw] = tally(truth, predicted, classes, weights * times)
    tail = (100 - CONFIDENCE_PERCENT) / 2
    found: list[dict[str, list[float] | None]] = []
    for groups, count in levels:
        intervals: dict[str, list[float] | None] = {}
        for name, values in average_scores(coarsen(resampled, groups, count)).items():
            defined = values[~np.isnan(values)]
            intervals[name] = np.percentile(defined, [tail, 100 - tail]).tolist() if defined.size else None
        found.append(intervals)
    return found


def balanced_accuracy_error(confusion: NDArray[np.float64]) -> float:
    """Standard error of balanced accuracy: the root of the summed variances of the recalls, over the classes.

    A class of few parcels may have a recall of 0 or 1, whose estimated variance is 0: with many such classes the
    error is too small. :func:`chance_error` has no such weakness.

    Args:
        confusion: Parcels counted, ``(truth, predicted)``.

    Returns:
        The standard error; NaN without any parcel.
    """
    support = confusion.sum(axis=1)
    present = support > 0
    if not present.any():
        return float("nan")
    recall = np.diagonal(confusion)[present] / support[present]
    return float(np.sqrt((recall * (1 - recall) / support[present]).sum()) / present.sum())


def chance_error(confusion: NDArray[np.float64]) -> float:
    """Standard deviation of balanced accuracy over all ways to deal the same predictions out to the parcels.

    This is how far balanced accuracy strays where nothing can be learnt. It is exact: balanced accuracy is then a
    sum over parcels of a score of (truth, prediction) under a random permutation.

    Args:
        confusion: Parcels counted, ``(truth, predicted)``.

    Returns:
        The standard deviation; NaN with fewer than two parcels.

    Source:
        Hoeffding (1951), https://doi.org/10.1214/aoms/1177729545, theorem 2.
    """
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    total = support.sum()
    if total < 2:
        return float("nan")
    present = support > 0
    score = np.zeros_like(confusion)
    np.fill_diagonal(score, np.divide(1.0, support * present.sum(), out=np.zeros(len(support)), where=present))
    by_truth = score @ predicted / total
    by_prediction = support @ score / total
    centred = score - by_truth[:, np.newaxis] - by_prediction + support @ by_truth / total
    return float(np.sqrt(support @ centred**2 @ predicted / (total - 1)))
