"""What the training folds know: classes, pixels per role and class, mean and spread of each band.

Nothing here looks at a label or a value of the test fold, but to count its pixels.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.models.data.patches import NO_CLASS, PlacePatches, Samples, Split
from cropflow.samples.labels import NO_FOLD
from cropflow.samples.sensors import Layout

log = logging.getLogger(__name__)

ROLES = ("training", "validation", "test")
_CHUNK = 16  # patches read at a time
_IDS = 65536


@dataclass(frozen=True)
class Statistics:
    """Normalisation of the bands of a sensor, in its unit: reflectance or index x 10000, dB x 100.

    Attributes:
        sensor: Name of the sensor.
        bands: Names.
        mean: Per band.
        deviation: Standard deviation per band; 1 where a band is constant.
        values: Values that were averaged, per band.
        shifts: What is stored more than the unit counts, per band.
    """

    sensor: str
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    values: tuple[int, ...]
    shifts: tuple[int, ...]


@dataclass(frozen=True)
class Survey:
    """One pass over the patches.

    Attributes:
        classes: Legend ids with a usable pixel in the training folds, ascending.
        pixels: Usable pixels of those classes per role, ``(role, class)`` in the order of ``ROLES``.
        without_class: Usable pixels per role whose crop the training folds do not know.
        incomplete: Labelled pixels per role that were dropped for a period without a value.
        training_patches: Running numbers of the patches with a training pixel.
        validation_patches: The same for validation; pixels of unknown crops do not count.
        statistics: Normalisation of each sensor, from the training folds.
    """

    classes: tuple[int, ...]
    pixels: NDArray[np.int64]
    without_class: tuple[int, int, int]
    incomplete: tuple[int, int, int]
    training_patches: NDArray[np.int64]
    validation_patches: NDArray[np.int64]
    statistics: tuple[Statistics, ...]

    def lookup(self) -> NDArray[np.int64]:
        """Class of each legend id, -1 where it is none, ``(65536,)``."""
        table = np.full(_IDS, NO_CLASS, dtype=np.int64)
        table[list(self.classes)] = np.arange(len(self.classes))
        return table

    def class_weights(self, rule: Literal["none", "inverse_sqrt"]) -> NDArray[np.float32]:
        """Weight of each class in the loss; the mean over training pixels is 1."""
        pixels = self.pixels[0].astype(np.float64)
        weights = np.ones_like(pixels) if rule == "none" else 1 / np.sqrt(pixels)
        return np.asarray(weights * pixels.sum() / (weights * pixels).sum(), dtype=np.float32)

    def counts(self, samples: Samples) -> dict[str, Any]:
        """Numbers for a manifest: patches, pixels by role and class, and why others were left out."""
        return {
            "patches": len(samples),
            "training_patches": len(self.training_patches),
            "validation_patches": len(self.validation_patches),
            "pixels": {
                role: {str(crop): int(count) for crop, count in zip(self.classes, counts, strict=True)}
                for role, counts in zip(ROLES, self.pixels, strict=True)
            },
            "pixels_of_crops_unknown_to_training": dict(zip(ROLES, self.without_class, strict=True)),
            "pixels_without_complete_series": dict(zip(ROLES, self.incomplete, strict=True)),
        }


class _Sums:
    """Exact sums of values and squares per band: integers, so that the order of reading does not matter."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.totals = [[0, 0, 0] for _ in layout.bands]

    def add(self, values: NDArray[Any]) -> None:
        """Add values as stored, ``(pixel, period, band)``, without nodata."""
        # 63 bits hold the squares of two thousand million values of 16 bits.
        wide = values.astype(np.int64)
        known = values != self.layout.kind.nodata
        if self.layout.kind.nodata:
            wide *= known
        counted = np.count_nonzero(known, axis=(0, 1))
        for total, *parts in zip(
            self.totals, counted, wide.sum((0, 1)), np.square(wide, out=wide).sum((0, 1)), strict=True
        ):
            for position, part in enumerate(parts):
                total[position] += int(part)

    def finish(self) -> Statistics:
        layout, mean, deviation = self.layout, [], []
        for name, shift, (count, total, squares) in zip(layout.bands, layout.shifts, self.totals, strict=True):
            if not count:
                raise CropflowError(
                    f"Band {name} of {layout.sensor} has no value in the training folds; expected at least one. "
                    "Drop the band or the sensor from the config, or widen the season."
                )
            mean.append((total - count * shift) / count)
            variance = (count * squares - total * total) / (count * count)
            deviation.append(math.sqrt(variance) or 1.0)
        counts = tuple(count for count, _, _ in self.totals)
        return Statistics(layout.sensor, layout.bands, tuple(mean), tuple(deviation), counts, layout.shifts)


def survey(samples: Samples, split: Split) -> Survey:
    """Count and average what the training folds hold, in one pass over the memory maps.

    A usable pixel has a crop that can be a target, a fold of the role, and a value in every period
    and band of every sensor. Statistics see all values of the pixels that may be used in a training fold.

    Raises:
        CropflowError: If no pixel of the training folds is usable, or a band has no value there.
    """
    counts = np.zeros((len(ROLES), _IDS), dtype=np.int64)
    incomplete = np.zeros(len(ROLES), dtype=np.int64)
    patches: tuple[list[int], list[int]] = ([], [])
    crops_of_patch: dict[int, NDArray[np.uint16]] = {}
    sums = {layout.sensor: _Sums(layout) for layout in samples.layouts}
    for first, place, rows in samples.chunks(_CHUNK):
        series = place.series[rows].read()
        crops, folds = np.asarray(place.crops[rows]), np.asarray(place.folds[rows])
        _check_folds(folds, split, place)
        labelled = split.labelled(crops)
        whole = series.complete()
        masks = (np.isin(folds, split.training), folds == split.validation, folds == split.fold)
        for sensor, values in series.pixels(masks[0]).items():
            sums[sensor].add(values)
        for role, mask in enumerate(masks):
            usable = mask & labelled & whole
            counts[role] += np.bincount(crops[usable], minlength=_IDS)
            incomplete[role] += np.count_nonzero(mask & labelled & ~whole)
            if role < 2:
                found = np.flatnonzero(usable.any(axis=(1, 2)))
                patches[role].extend(first + int(patch) for patch in found)
                if role == 1:
                    crops_of_patch |= {first + int(patch): np.unique(crops[patch][usable[patch]]) for patch in found}
    classes = np.flatnonzero(counts[0])
    if not len(classes):
        raise CropflowError(
            f"The training folds {listing(split.training)} hold no usable pixel in {len(samples)} patches "
            f"({incomplete[0]} labelled ones have a period without a value); expected at least one. "
            "Add places to the experiment, use fewer folds or smaller blocks, or raise max_gap of the series."
        )
    if len(classes) == 1:
        log.warning("the training folds %s hold a single class; every pixel will be it", listing(split.training))
    validation = [patch for patch in patches[1] if np.isin(crops_of_patch[patch], classes).any()]
    result = Survey(
        classes=tuple(int(crop) for crop in classes),
        pixels=counts[:, classes],
        without_class=_three(counts.sum(1) - counts[:, classes].sum(1)),
        incomplete=_three(incomplete),
        training_patches=np.array(patches[0], dtype=np.int64),
        validation_patches=np.array(validation, dtype=np.int64),
        statistics=tuple(found.finish() for found in sums.values()),
    )
    _report(result, samples)
    return result


def _three(values: NDArray[np.int64]) -> tuple[int, int, int]:
    training, validation, test = (int(value) for value in values)
    return training, validation, test


def _check_folds(folds: NDArray[np.uint8], split: Split, place: PlacePatches) -> None:
    used = folds[folds != NO_FOLD]
    if used.size and used.max() >= split.count:
        raise CropflowError(
            f"The samples of {place.place} name fold {used.max()}; expected 0 to {split.count - 1}. "
            "Build the samples with the folds of this sample set."
        )


def _report(found: Survey, samples: Samples) -> None:
    log.info(
        "%d classes; %d of %d patches to train, %d to validate; %d, %d and %d usable pixels to train, validate, test",
        len(found.classes),
        len(found.training_patches),
        len(samples),
        len(found.validation_patches),
        *found.pixels.sum(1),
    )
    for role, lost, incomplete, kept in zip(
        ROLES, found.without_class, found.incomplete, found.pixels.sum(1), strict=True
    ):
        if lost:
            log.warning("%s: ignored %d of %d pixels of crops that training lacks", role, lost, lost + kept)
        if incomplete:
            log.warning(
                "%s: ignored %d of %d labelled pixels with a period without a value",
                role,
                incomplete,
                incomplete + lost + kept,
            )
