"""What a pass over the samples of a kind finds: targets by role and crop, sums of values, numbers of dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.models.data.chips import ChipSamples
from cropflow.models.data.kernels.sums import valid_of
from cropflow.models.data.patches import PatchSamples
from cropflow.models.data.pixel_sets import PixelSetSamples
from cropflow.models.data.samples import Place, Samples, Split
from cropflow.models.data.statistics import Sums
from cropflow.samples.labels import NO_FOLD
from cropflow.samples.sensors import Layout

ROLES = ("training", "validation", "test")
_PATCHES = 16  # patches or chips read at a time
_PIXELS = 65_536  # pixels of pixel sets read at a time, to a parcel
_IDS = 65_536
_MOST_DATES = 32_768


@dataclass
class Tally:
    """What a pass has found so far.

    Attributes:
        sums: Sensor -> sums over the values of the training folds.
        dates: Sensor -> number of training targets with so many valid dates, ``(dates,)``.
        incomplete: Labelled targets per role that have no value where one is needed.
        unlabelled: Targets per role whose label is none: unknown, ignored, background.
        without_fold: Targets that no fold may use.
        rows: Per chunk, of the usable targets: sample, role, crop, and number of pixels, ``(4, n)``.
    """

    sums: dict[str, Sums]
    dates: dict[str, NDArray[np.int64]]
    incomplete: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(ROLES), dtype=np.int64))
    unlabelled: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(ROLES), dtype=np.int64))
    without_fold: int = 0
    rows: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def usable(self) -> NDArray[np.int64]:
        """Rows of all chunks, ``(4, n)``: sample, role, crop, pixels."""
        return np.concatenate([np.empty((4, 0), dtype=np.int64), *self.rows], axis=1)

    def count(
        self,
        roles: NDArray[np.int8],
        labelled: NDArray[np.bool_],
        seen: Mapping[str, NDArray[np.int64]],
        needed: Mapping[str, int] | None,
    ) -> NDArray[np.bool_]:
        """Sort targets by why they are not used, and count the dates of those that train.

        Args:
            roles: Role of each target, -1 = none; any shape.
            labelled: Whether it has a class.
            seen: Sensor -> its valid dates.
            needed: Sensor -> valid dates that a target must have; None: one, of any sensor.

        Returns:
            True where a target is used.
        """
        if needed is None:
            whole = np.logical_or.reduce([found > 0 for found in seen.values()])
        else:
            whole = np.logical_and.reduce([found == needed[sensor] for sensor, found in seen.items()])
        self.without_fold += int(np.count_nonzero(roles < 0))
        for role in range(len(ROLES)):
            mine = roles == role
            self.unlabelled[role] += np.count_nonzero(mine & ~labelled)
            self.incomplete[role] += np.count_nonzero(mine & labelled & ~whole)
        used: NDArray[np.bool_] = (roles >= 0) & labelled & whole
        for sensor, found in seen.items():
            self.dates[sensor] += np.bincount(found[used & (roles == 0)], minlength=_MOST_DATES)
        return used


def tally(samples: Samples, split: Split, complete: bool) -> Tally:
    """Pass over all samples once, chunk by chunk.

    Args:
        samples: Of any kind.
        split: Roles of the folds.
        complete: Whether a target needs a value on every date of every sensor, or on one date of one sensor.
    """
    found = Tally(
        {layout.sensor: Sums(layout) for layout in samples.layouts},
        {layout.sensor: np.zeros(_MOST_DATES, dtype=np.int64) for layout in samples.layouts},
    )
    if isinstance(samples, PatchSamples):
        _tally_patches(samples, split, complete, found)
    elif isinstance(samples, ChipSamples):
        _tally_chips(samples, split, complete, found)
    elif isinstance(samples, PixelSetSamples):
        _tally_pixel_sets(samples, split, complete, found)
    return found


def _needed(place: Place, complete: bool) -> dict[str, int] | None:
    return {sensor: dates.shape[1] for sensor, dates in place.dates.items()} if complete else None


def _tally_patches(samples: PatchSamples, split: Split, complete: bool, found: Tally) -> None:
    for first, place, rows in samples.chunks(_PATCHES):
        crops, folds = np.asarray(place.crops[rows]), np.asarray(place.folds[rows])
        _check_folds(folds, split, place)
        roles = split.roles(folds)
        seen = {}
        for layout in samples.layouts:
            values = np.asarray(place.series.values[layout.sensor][rows])
            values = values.reshape(*values.shape[:3], -1)
            seen[layout.sensor] = _valid(values, layout).sum(1).reshape(crops.shape)
            found.sums[layout.sensor].add(values, (roles == 0).reshape(len(crops), -1))
        used = found.count(roles, split.labelled(crops), seen, _needed(place, complete))
        patch = np.broadcast_to(np.arange(len(crops))[:, None, None], crops.shape)[used]
        keys, pixels = np.unique((patch * len(ROLES) + roles[used]) * _IDS + crops[used], return_counts=True)
        kept = keys // _IDS
        found.rows.append(np.stack([first + kept // len(ROLES), kept % len(ROLES), keys % _IDS, pixels]))


def _tally_chips(samples: ChipSamples, split: Split, complete: bool, found: Tally) -> None:
    first = 0
    for place in samples.places:
        _check_folds(place.folds, split, place)
        for start in range(0, len(place), _PATCHES):
            rows = slice(start, min(start + _PATCHES, len(place)))
            roles, crops = split.roles(place.folds[rows]), place.crops[rows]
            seen, pixels = {}, np.zeros((len(crops), samples.patch_size**2), dtype=np.bool_)
            for layout in samples.layouts:
                values = np.asarray(place.values[layout.sensor][rows])
                values = values.reshape(*values.shape[:3], -1)
                valid = _valid(values, layout)
                seen[layout.sensor] = valid.any(2).sum(1)
                pixels |= valid.any(1)
                found.sums[layout.sensor].add(values, np.repeat((roles == 0)[:, None], pixels.shape[1], axis=1))
            used = found.count(roles, split.labelled(crops), seen, _needed(place, complete))
            numbers = first + start + np.flatnonzero(used)
            found.rows.append(np.stack([numbers, roles[used], crops[used], pixels.sum(1)[used]]).astype(np.int64))
        first += len(place)


def _tally_pixel_sets(samples: PixelSetSamples, split: Split, complete: bool, found: Tally) -> None:
    """Of the kind ``pixels`` a target is a pixel, otherwise a parcel, valid on a date where a pixel of it is."""
    single, first = samples.kind == "pixels", 0
    for place in samples.places:
        _check_folds(place.folds, split, place)
        for rows in _parcels(place.counts):
            counts, starts = place.counts[rows], place.starts[rows] - place.starts[rows.start]
            roles, crops = split.roles(place.folds[rows]), place.crops[rows]
            pixels = slice(int(place.starts[rows.start]), int(place.starts[rows.start] + counts.sum()))
            seen, anything = {}, np.zeros(pixels.stop - pixels.start, dtype=np.bool_)
            for layout in samples.layouts:
                values = np.asarray(place.values[layout.sensor][pixels])[..., None]
                valid = _valid(values, layout)[..., 0]
                anything |= valid.any(1)
                seen[layout.sensor] = valid.sum(1) if single else np.logical_or.reduceat(valid, starts).sum(1)
                found.sums[layout.sensor].add(values, np.repeat(roles == 0, counts)[:, None])
            needed, labelled = _needed(place, complete), split.labelled(crops)
            if single:
                used = found.count(np.repeat(roles, counts), np.repeat(labelled, counts), seen, needed)
                usable = np.add.reduceat(used.astype(np.int64), starts)
                of = np.flatnonzero(usable)
            else:
                of = np.flatnonzero(found.count(roles, labelled, seen, needed))
                usable = np.add.reduceat(anything.astype(np.int64), starts)
            found.rows.append(np.stack([first + rows.start + of, roles[of], crops[of], usable[of]]).astype(np.int64))
        first += len(place)


def _parcels(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of parcels of about as many pixels."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + _PIXELS, side="right")))
        yield slice(start, stop)
        start = stop


def _valid(values: NDArray[np.generic], layout: Layout) -> NDArray[np.bool_]:
    """Where series ``(N, T, C, A)`` are valid in all bands, ``(N, T, A)``."""
    valid = np.empty((values.shape[0], values.shape[1], values.shape[3]), dtype=np.bool_)
    valid_of(values, values.dtype.type(layout.kind.nodata), valid)
    return valid


def _check_folds(folds: NDArray[np.uint8], split: Split, place: Place) -> None:
    used = folds[folds != NO_FOLD]
    if used.size and used.max() >= split.count:
        raise CropflowError(
            f"The samples of {place.place} name fold {used.max()}; expected 0 to {split.count - 1}. "
            "Build the samples with the folds of this sample set."
        )
