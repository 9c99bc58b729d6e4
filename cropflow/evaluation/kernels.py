"""Pairs of classes counted in one pass over the pixels, with no array of their length beside them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

# Tables that are counted into in turn: the next pair of one class need not wait until the last is written.
TABLES = 4


def count_pairs(
    truth: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    classes: int,
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], int]:
    """Count pairs of true and predicted class.

    Args:
        truth: Positions of the true classes, ``(n,)``.
        predicted: Positions of the predicted classes, ``(n,)``.
        classes: Number of classes.
        weights: What each pair counts, ``(n,)``; 1 where absent.

    Returns:
        Counts or summed weights, float64, ``(truth, predicted)``; and the place of a pair outside the classes, -1
        where there is none.
    """
    if weights is None:
        tables = np.zeros((TABLES, classes * classes), dtype=np.int64)
        strange = int(_count(truth, predicted, classes, tables))
        return tables.sum(axis=0).reshape(classes, classes).astype(np.float64), strange
    sums = np.zeros(classes * classes)
    strange = int(_add(truth, predicted, classes, weights, sums))
    return sums.reshape(classes, classes), strange


@numba.njit(cache=True, nogil=True)
def _count(truth: NDArray[Any], predicted: NDArray[Any], classes: int, tables: NDArray[np.int64]) -> int:
    for place in range(len(truth)):
        row, column = np.int64(truth[place]), np.int64(predicted[place])
        if row < 0 or row >= classes or column < 0 or column >= classes:
            return place
        tables[place & (TABLES - 1), row * classes + column] += 1
    return -1


@numba.njit(cache=True, nogil=True)
def _add(
    truth: NDArray[Any], predicted: NDArray[Any], classes: int, weights: NDArray[np.float64], sums: NDArray[np.float64]
) -> int:
    for place in range(len(truth)):
        row, column = np.int64(truth[place]), np.int64(predicted[place])
        if row < 0 or row >= classes or column < 0 or column >= classes:
            return place
        sums[row * classes + column] += weights[place]
    return -1
