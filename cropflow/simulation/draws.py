"""Draws that keep to their shares where a few large parcels hold most of the land."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRATUM = 16


def spread_levels(order: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """One level in [0, 1) per row, uniform by itself, spread evenly among rows that follow each other in an order.

    Independent draws would leave the shares of areas to chance. Here parcels of about the same size, 16 that follow
    each other in the order, get one level from each sixteenth of [0, 1), dealt out at random.

    Args:
        order: Rows from the first to the last, ``(row,)``.
        rng: Source of randomness.

    Source:
        Stratified sampling; Cochran (1977), Sampling Techniques, chapter 5.
    """
    strata = -(-len(order) // STRATUM)
    ranks = rng.random((strata, STRATUM)).argsort(axis=1)
    levels = np.empty(len(order))
    levels[order] = ((ranks + rng.random((strata, STRATUM))) / STRATUM).ravel()[: len(order)]
    return levels


def choose(weights: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column of each row at which the row's running sum passes its level.

    Args:
        weights: Not negative, ``(row, column)``; rows need not add up to 1.
        levels: In [0, 1), ``(row,)``.
    """
    total = weights.cumsum(axis=1)
    chosen = (total <= (levels * total[:, -1])[:, np.newaxis]).sum(axis=1)
    return np.asarray(np.minimum(chosen, weights.shape[1] - 1), dtype=np.int64)
