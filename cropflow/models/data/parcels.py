"""Batches of parcels, each with some or all of its pixels, and of single pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cropflow.config.models.drawing import PixelSetDrawing
from cropflow.models.batch import Batch, Series
from cropflow.models.data.datasets import Batches, to_series
from cropflow.models.data.drawing import JITTER, SLOTS, Draws, normal_quantiles
from cropflow.models.data.kernels.gathering import take_sets
from cropflow.models.data.kernels.numbers import draw_slots, jitter
from cropflow.models.data.pixel_sets import PixelSetSamples
from cropflow.models.data.survey import Survey
from cropflow.samples.sensors import KINDS


class _Sets(Batches):
    """What parcels and their pixels share: series that one kernel gathers and masks."""

    samples: PixelSetSamples

    def _take(self, parcels: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[str, Series]:
        """The series of pixels, ``(B, T, C, S)``.

        In memory the pixels come before the dates, ``(B, S, T, C)``, as they are stored: nothing is turned around.

        Args:
            parcels: Running numbers of the parcels, ``(B,)``.
            rows: Pixels of each in the arrays of its place, ``(B, S)``; -1 = none.
        """
        found = {}
        for (sensor, days), layout in zip(self._dates(parcels).items(), self.samples.layouts, strict=True):
            shape, bands, kind = (*rows.shape, days.shape[1]), len(layout.bands), layout.kind
            out = np.empty((*rows.shape, days.shape[1] * bands), dtype=kind.dtype)
            counted, valid = np.empty(shape, dtype=np.uint8), np.empty(shape, dtype=np.bool_)
            for place, where, _ in self.samples.split_up(parcels):
                own = self.samples.places[place]
                values, observations = np.asarray(own.values[sensor]), np.asarray(own.observations[sensor])
                flat = values.reshape(len(values), values.shape[1] * bands)
                take_sets(flat, observations, rows[where], where, out.dtype.type(kind.nodata), out, counted, valid)
            out = out.reshape(*shape, bands)
            self._change(sensor, out, parcels)
            found[sensor] = to_series(
                np.moveaxis(out, 1, 3), days, np.moveaxis(valid, 1, 2), np.moveaxis(counted, 1, 2)
            )
        return found

    def _change(self, sensor: str, values: NDArray[np.generic], parcels: NDArray[np.int64]) -> None:
        """Change values in place, ``(B, S, T, C)``, as training asks for."""


class ParcelBatches(_Sets):
    """Batches of parcels. Training draws pixels of each without replacement; otherwise a parcel has all of its own.

    Slots that a parcel does not fill are padding, never copies of its pixels.
    """

    def __init__(
        self,
        samples: PixelSetSamples,
        survey: Survey,
        folds: tuple[int, ...] | None,
        draws: Draws | None = None,
    ) -> None:
        super().__init__(samples, survey, folds, draws)
        self.placed = [place_crops(place.history_crops, survey.classes) for place in samples.places]

    def _batch(self, numbers: NDArray[np.int64], counted: NDArray[np.bool_]) -> Batch:
        count = len(numbers)
        starts, counts = np.empty((2, count), dtype=np.int64)
        crops, folds = np.empty(count, dtype=np.uint16), np.empty(count, dtype=np.uint8)
        features = np.empty((count, self.samples.features), dtype=np.float32)
        history = np.empty((count, self.samples.lags, len(self.survey.classes) + 1), dtype=np.float32)
        for place, where, rows in self.samples.split_up(numbers):
            own = self.samples.places[place]
            starts[where], counts[where] = own.starts[rows], own.counts[rows]
            crops[where], folds[where], features[where] = own.crops[rows], own.folds[rows], own.features[rows]
            history[where] = own.history[rows] @ self.placed[place]
        if self.draws:
            slots, keys = self.draws.pixels, self.draws.keys(SLOTS, numbers)
        else:
            slots, keys = int(counts.max()), np.zeros(count, dtype=np.uint64)
        pixels = draw_slots(starts, counts, keys, slots)
        series = self._take(numbers, pixels)
        usable = self._usable(one.frames for one in series.values()) & counted
        return Batch(
            series,
            torch.from_numpy(self._targets(crops, folds, usable)),
            torch.from_numpy(pixels >= 0),
            torch.from_numpy(features),
            torch.from_numpy(history) if self.samples.lags else None,
        )

    def _change(self, sensor: str, values: NDArray[np.generic], parcels: NDArray[np.int64]) -> None:
        if self.draws is None or not isinstance(self.draws.settings, PixelSetDrawing):
            return
        noise = self.draws.settings.jitter
        if noise is None:
            return
        deviation, kind = self.draws.deviation[sensor], KINDS[sensor]
        scale = (deviation * np.float32(noise.sigma), deviation * np.float32(noise.clip), normal_quantiles())
        jitter(values, self.draws.keys(JITTER, parcels), *scale, kind.nodata, int(np.iinfo(kind.dtype).max))


class PixelBatches(_Sets):
    """Batches of single pixels of pixel sets, each with the class of its parcel; items count pixels over the places."""

    def __init__(
        self,
        samples: PixelSetSamples,
        survey: Survey,
        folds: tuple[int, ...] | None,
        draws: Draws | None = None,
    ) -> None:
        super().__init__(samples, survey, folds, draws)
        self.index = PixelIndex.of(samples)

    def _batch(self, numbers: NDArray[np.int64], counted: NDArray[np.bool_]) -> Batch:
        parcels, rows = self.index.locate(numbers)
        crops, folds = np.empty(len(numbers), dtype=np.uint16), np.empty(len(numbers), dtype=np.uint8)
        for place, where, of in self.samples.split_up(parcels):
            crops[where], folds[where] = self.samples.places[place].crops[of], self.samples.places[place].folds[of]
        series = {sensor: _single(one) for sensor, one in self._take(parcels, rows[:, None]).items()}
        usable = self._usable(one.valid for one in series.values()) & counted
        return Batch(series, torch.from_numpy(self._targets(crops, folds, usable)))


@dataclass(frozen=True)
class PixelIndex:
    """Running numbers of the pixels of all places.

    Attributes:
        starts: First pixel of each parcel, over all places, and last their number, ``(parcel + 1,)``.
        offsets: First pixel of the place of each parcel, ``(parcel,)``.
    """

    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @staticmethod
    def of(samples: PixelSetSamples) -> PixelIndex:
        """The index of some samples."""
        counts = np.concatenate([place.counts for place in samples.places])
        totals = np.array([place.pixels for place in samples.places], dtype=np.int64)
        offsets = np.repeat(np.cumsum(totals) - totals, [len(place) for place in samples.places])
        return PixelIndex(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), offsets)

    def locate(self, pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Running numbers of the parcels of pixels, and rows of the pixels in the arrays of their places."""
        parcels = np.searchsorted(self.starts, pixels, side="right") - 1
        return parcels, pixels - self.offsets[parcels]

    def pixels_of(self, parcels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Running numbers of all pixels of some parcels, parcel by parcel."""
        starts, counts = self.starts[parcels], self.starts[parcels + 1] - self.starts[parcels]
        first = np.repeat(starts - (np.cumsum(counts) - counts), counts)
        found: NDArray[np.int64] = first + np.arange(counts.sum())
        return found

    def drawn_of(self, parcels: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """Running numbers of pixels that training draws from some parcels, without replacement."""
        starts, counts = self.starts[parcels], self.starts[parcels + 1] - self.starts[parcels]
        found: NDArray[np.int64] = draw_slots(starts, counts, draws.keys(SLOTS, parcels), draws.pixels)
        return found[found >= 0]


def _single(series: Series) -> Series:
    """The only pixel of each set."""
    counted = None if series.observations is None else series.observations[..., 0]
    return Series(series.values[..., 0], series.dates, series.valid[..., 0], counted)


def place_crops(crops: tuple[int, ...], classes: tuple[int, ...]) -> NDArray[np.float32]:
    """What brings shares of crops to the classes of a model: ``(crop + 1, class + 1)``, everything else last.

    Args:
        crops: Legend ids of the shares; one more share follows, of what is not known or another crop.
        classes: Legend ids of the classes.
    """
    positions = {crop: position for position, crop in enumerate(classes)}
    placed = np.zeros((len(crops) + 1, len(classes) + 1), dtype=np.float32)
    for row, crop in enumerate(crops):
        placed[row, positions.get(crop, len(classes))] = 1
    placed[-1, -1] = 1
    return placed
