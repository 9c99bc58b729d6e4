"""From running numbers to whole batches: values as stored, masks, dates and targets, without a loop over samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cropflow.models.batch import IGNORED, NO_DATE, Batch, Series
from cropflow.models.data.drawing import Draws
from cropflow.models.data.samples import Samples
from cropflow.models.data.survey import Survey

Items = Sequence[int] | NDArray[np.int64]


class Batches(Dataset[Batch]):
    """Batches of chosen samples.

    The bitwise complement of a running number is the same sample without a target: it evens out the shares of
    processes.

    Args:
        samples: All samples of a kind.
        survey: What the training folds know.
        folds: Folds whose targets count; None: no targets at all.
        draws: Draws of training; none where absent.
    """

    def __init__(
        self, samples: Samples, survey: Survey, folds: tuple[int, ...] | None, draws: Draws | None = None
    ) -> None:
        self.samples = samples
        self.survey = survey
        self.lookup = survey.lookup()
        self.in_folds = np.isin(np.arange(256), folds if folds is not None else ())
        self.targeted = folds is not None
        self.draws = draws

    def __getitem__(self, items: Items) -> Batch:
        """The batch of some items."""
        numbers = np.asarray(items, dtype=np.int64)
        counted = numbers >= 0
        numbers = np.where(counted, numbers, ~numbers)
        batch = self._batch(numbers, counted)
        if not self.targeted:
            batch = replace(batch, target=None)
        return batch if self.draws is None else self.draws.of_time(batch, numbers)

    def _batch(self, numbers: NDArray[np.int64], counted: NDArray[np.bool_]) -> Batch:
        raise NotImplementedError

    def _targets(
        self, crops: NDArray[np.uint16], folds: NDArray[np.uint8], usable: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Class of each target, ``IGNORED`` outside the folds or without values; any shape."""
        found: NDArray[np.int64] = np.where(self.in_folds[folds] & usable, self.lookup[crops], IGNORED)
        return found

    def _dates(self, parcels: NDArray[np.int64]) -> dict[str, NDArray[np.int32]]:
        """Sensor -> dates of samples, ``(B, T)``, T of the longest series among them."""
        found = {}
        for sensor in (layout.sensor for layout in self.samples.layouts):
            own = [
                (where, self.samples.places[place].dates[sensor][rows])
                for place, where, rows in self.samples.split_up(parcels)
            ]
            length = max((int((dates != NO_DATE).sum(1).max(initial=0)) for _, dates in own), default=0)
            days = np.full((len(parcels), max(length, 1)), NO_DATE, dtype=np.int32)
            for where, dates in own:
                width = min(dates.shape[1], days.shape[1])
                days[where, :width] = dates[:, :width]
            found[sensor] = days
        return found

    def _usable(self, masks: Iterable[torch.Tensor]) -> NDArray[np.bool_]:
        """True where there are values enough for a target, ``(B, ...)``.

        Args:
            masks: Of each sensor, where a target is valid on a date, ``(B, T, ...)``.
        """
        found = [mask.numpy() for mask in masks]
        if self.survey.complete:
            return np.asarray(np.logical_and.reduce([mask.all(1) for mask in found]))
        return np.asarray(np.logical_or.reduce([mask.any(1) for mask in found]))


def to_series(
    values: NDArray[Any], dates: NDArray[np.int32], valid: NDArray[np.bool_], counted: NDArray[np.uint8]
) -> Series:
    """Arrays as a series, without a copy."""
    return Series(*map(torch.from_numpy, (values, dates, valid, counted)))
