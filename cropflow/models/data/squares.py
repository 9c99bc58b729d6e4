"""Batches of patches, of squares that training cuts from them, and of chips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cropflow.models.batch import Batch, Series
from cropflow.models.data.chips import ChipSamples
from cropflow.models.data.datasets import Batches, to_series
from cropflow.models.data.kernels.gathering import take_squares
from cropflow.models.data.kernels.sums import valid_of
from cropflow.models.data.patches import PatchSamples, PlacePatches
from cropflow.samples.sensors import KINDS


class _Squares(Batches):
    """What patches and chips share: squares that one kernel copies, turns and masks."""

    def _take(
        self,
        numbers: NDArray[np.int64],
        arrays: list[tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[np.uint8]]]],
        corners: NDArray[np.int64],
        turns: NDArray[np.int64],
        side: int,
    ) -> dict[str, Series]:
        """The series of squares.

        Args:
            numbers: Running numbers, ``(B,)``.
            arrays: Per place, sensor -> values ``(N, T, C, P, P)``, and sensor -> observations.
            corners: Upper-left pixel of each, ``(B, 2)``.
            turns: Quarter turns and mirroring of each, ``(B, 2)``.
            side: Rows and columns of a square.
        """
        found = {}
        for (sensor, days), layout in zip(self._dates(numbers).items(), self.samples.layouts, strict=True):
            length, kind = days.shape[1], KINDS[sensor]
            out = np.empty((len(numbers), length, len(layout.bands), side, side), dtype=kind.dtype)
            counted = np.empty((len(numbers), length, side, side), dtype=np.uint8)
            valid = np.empty(counted.shape, dtype=np.bool_)
            for place, where, rows in self.samples.split_up(numbers):
                values, observations = (np.asarray(part[sensor]) for part in arrays[place])
                how = (rows, where, corners[where], turns[where], out.dtype.type(kind.nodata))
                take_squares(values, observations, *how, out, counted, valid)
            found[sensor] = to_series(out, days, valid, counted)
        return found


class PatchBatches(_Squares):
    """Batches of patches; training may cut squares from them.

    Item ``i`` belongs to patch ``i // per_patch``; a patch gives as many squares as cover it once, so that an epoch
    stays as long.
    """

    samples: PatchSamples

    @property
    def per_patch(self) -> int:
        """Items of a patch."""
        return cutouts(self.samples.patch_size, self.draws.cutout if self.draws else None)

    def _batch(self, numbers: NDArray[np.int64], counted: NDArray[np.bool_]) -> Batch:
        patches = numbers // self.per_patch
        side = (self.draws.cutout if self.draws else None) or self.samples.patch_size
        corners, turns = np.zeros((2, len(numbers), 2), dtype=np.int64)
        if self.draws:
            for position, item in enumerate(numbers):
                generator = self.draws.generator(int(item))
                if self.draws.cutout:
                    corners[position] = cut_out(self._targets_of(int(patches[position])), side, generator)
                if self.draws.flips:
                    turns[position] = generator.integers((4, 2))
        arrays = [(place.series.values, place.observations) for place in self.samples.places]
        series = self._take(patches, arrays, corners, turns, side)
        crops, folds = np.empty((len(numbers), side, side), np.uint16), np.empty((len(numbers), side, side), np.uint8)
        for place, where, rows in self.samples.split_up(patches):
            labels = self.samples.places[place]
            for position, row in zip(where, rows, strict=True):
                top, left = corners[position]
                window = (row, slice(top, top + side), slice(left, left + side))
                crops[position] = turned(labels.crops[window], *turns[position])
                folds[position] = turned(labels.folds[window], *turns[position])
        usable = self._usable(one.valid for one in series.values()) & counted[:, None, None]
        return Batch(series, torch.from_numpy(self._targets(crops, folds, usable)))

    def _targets_of(self, patch: int) -> NDArray[np.bool_]:
        """True where a pixel of a whole patch is a target, ``(P, P)``."""
        ((place, _, (row,)),) = self.samples.split_up(np.array([patch]))
        patches = self.samples.places[place]
        (usable,) = self._usable(_valid(patches, int(row)))
        targets = self._targets(np.asarray(patches.crops[row]), np.asarray(patches.folds[row]), usable)
        return np.asarray(targets >= 0)


class ChipBatches(_Squares):
    """Batches of chips, each with the class of its parcel."""

    samples: ChipSamples

    def _batch(self, numbers: NDArray[np.int64], counted: NDArray[np.bool_]) -> Batch:
        corners, turns = np.zeros((2, len(numbers), 2), dtype=np.int64)
        if self.draws and self.draws.flips:
            for position, item in enumerate(numbers):
                turns[position] = self.draws.generator(int(item)).integers((4, 2))
        arrays = [(place.values, place.observations) for place in self.samples.places]
        series = self._take(numbers, arrays, corners, turns, self.samples.patch_size)
        crops, folds = np.empty(len(numbers), np.uint16), np.empty(len(numbers), np.uint8)
        for place, where, rows in self.samples.split_up(numbers):
            crops[where], folds[where] = self.samples.places[place].crops[rows], self.samples.places[place].folds[rows]
        usable = self._usable(one.frames for one in series.values()) & counted
        return Batch(series, torch.from_numpy(self._targets(crops, folds, usable)))


def cutouts(patch_size: int, side: int | None) -> int:
    """Squares that a patch gives in an epoch: as many as cover it once."""
    return 1 if side is None else (-(-patch_size // side)) ** 2


def cut_out(usable: NDArray[np.bool_], side: int, generator: np.random.Generator) -> tuple[int, int]:
    """Draw a square inside a patch that holds a pixel which is a target, each of them with equal chance.

    Args:
        usable: True where a pixel is a target, ``(P, P)``; at least one is.
        side: Side of the square, pixels, at most P.
        generator: Source of the draw.

    Returns:
        Row and column of its upper-left pixel.
    """
    targets = np.flatnonzero(usable)
    chosen = divmod(int(targets[generator.integers(len(targets))]), usable.shape[1])
    corner = np.clip(np.array(chosen) - generator.integers(side, size=2), 0, np.array(usable.shape) - side)
    return int(corner[0]), int(corner[1])


def turned(array: NDArray[Any], quarter: int, flip: int) -> NDArray[Any]:
    """An array turned against the clock by quarters in its last two axes, then mirrored left to right."""
    found = np.rot90(array, quarter, axes=(-2, -1))
    return found[..., ::-1] if flip else found


def _valid(place: PlacePatches, row: int) -> list[torch.Tensor]:
    """Where each sensor is valid in all bands of a patch, ``(1, T, P, P)``."""
    masks = []
    for sensor, values in place.series.values.items():
        patch = np.asarray(values[row : row + 1])
        flat = patch.reshape(*patch.shape[:3], -1)
        valid = np.empty((1, flat.shape[1], flat.shape[3]), dtype=np.bool_)
        valid_of(flat, flat.dtype.type(KINDS[sensor].nodata), valid)
        masks.append(torch.from_numpy(valid.reshape(1, flat.shape[1], *patch.shape[-2:])))
    return masks
