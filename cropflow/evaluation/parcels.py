"""From pixel probabilities to one answer per parcel: the class of the highest mean probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE = 10_000
NOT_PREDICTED = 65535
NONE = -1


class ParcelSums:
    """Sums of pixel probabilities per parcel, filled piece by piece.

    The sums are whole numbers far below 2**53, so they are exact and do not depend on the size of the pieces.

    Attributes:
        totals: Summed probability x 10000, float64, ``(parcel index + 1, class)``.
        pixels: Pixels summed, int64, ``(parcel index + 1,)``.
    """

    def __init__(self, largest_index: int, classes: int) -> None:
        self.totals = np.zeros((largest_index + 1, classes))
        self.pixels = np.zeros(largest_index + 1, dtype=np.int64)

    def add(self, index: NDArray[np.integer[Any]], probability: NDArray[np.uint16]) -> None:
        """Add pixels.

        Args:
            index: Parcel index of each pixel, ``(n,)``.
            probability: Probabilities x 10000 without nodata, uint16, ``(class, n)``.
        """
        if not index.size:
            return
        # Only the parcels of this piece: a site may have thousands, a piece has few.
        found, place = np.unique(index, return_inverse=True)
        self.pixels[found] += np.bincount(place, minlength=len(found))
        for position, values in enumerate(probability):
            self.totals[found, position] += np.bincount(place, weights=values, minlength=len(found))

    def means(self, index: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Mean probability of parcels, [0, 1], float64, ``(parcel, class)``; NaN where a parcel has no pixel."""
        pixels = self.pixels[index][:, np.newaxis].astype(np.float64)
        totals = self.totals[index]
        means: NDArray[np.float64] = np.divide(
            totals, pixels * SCALE, out=np.full(totals.shape, np.nan), where=pixels > 0
        )
        return means


@dataclass(frozen=True)
class Ranking:
    """The two likeliest classes of each parcel.

    Attributes:
        first: Position of the likeliest class, int64, -1 where nothing was predicted, ``(parcel,)``.
        first_probability: Its mean probability, [0, 1], NaN where nothing was predicted, ``(parcel,)``.
        second: Position of the runner-up, int64, -1 where there is none, ``(parcel,)``.
        second_probability: Its mean probability, [0, 1], NaN where there is none, ``(parcel,)``.
    """

    first: NDArray[np.int64]
    first_probability: NDArray[np.float64]
    second: NDArray[np.int64]
    second_probability: NDArray[np.float64]


def rank_parcels(means: NDArray[np.float64]) -> Ranking:
    """Find the likeliest class of each parcel and the runner-up; the first in order wins a tie.

    Args:
        means: Mean probability, [0, 1], NaN where nothing was predicted, ``(parcel, class)``.
    """
    empty = np.isnan(means).any(axis=1) | (means.shape[1] == 0)
    rows = np.arange(len(means))
    filled = np.where(np.isnan(means), 0.0, means)
    first = np.where(empty, NONE, filled.argmax(axis=1) if means.shape[1] else NONE)
    first_probability = np.where(empty, np.nan, filled[rows, first] if means.shape[1] else np.nan)
    if means.shape[1] < 2:
        return Ranking(first, first_probability, np.full(len(means), NONE), np.full(len(means), np.nan))
    filled[rows, np.maximum(first, 0)] = -1.0
    second = filled.argmax(axis=1)
    return Ranking(
        first,
        first_probability,
        np.where(empty, NONE, second),
        np.where(empty, np.nan, filled[rows, second]),
    )
