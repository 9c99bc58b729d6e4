"""What the training folds know: classes, targets per role and class, mean and spread of what is measured.

Nothing here looks at a label or a value of the test fold, but to count its targets. Chips of the training folds count
whole, with the ground around their parcels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError, listing
from cropflow.models.data.pixel_sets import PixelSetSamples
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.statistics import FeatureStatistics, Statistics, feature_statistics
from cropflow.models.data.tallies import ROLES, tally
from cropflow.models.targets import IGNORED
from cropflow.models.targets import UNKNOWN as UNKNOWN_TARGET
from cropflow.samples.labels import UNKNOWN

log = logging.getLogger(__name__)

_IDS = 65_536
# What a target is: what a loss and its weights count.
UNITS: dict[Kind, str] = {"patches": "pixels", "pixel_sets": "parcels", "chips": "chips", "pixels": "pixels"}


@dataclass(frozen=True)
class Dates:
    """How many valid dates of a sensor the training targets have.

    Attributes:
        sensor: Name of the sensor.
        minimum: Of all that have the sensor; 0 where none has.
        median: Of the same, the lower one of two.
        without: Targets that lack the sensor.
    """

    sensor: str
    minimum: int
    median: int
    without: int


@dataclass(frozen=True)
class Survey:
    """One pass over the samples. A target is a pixel of a patch, a parcel, a chip or a single pixel.

    Attributes:
        kind: What a sample is.
        classes: Legend ids with a usable target in the training folds, ascending.
        samples: Samples with a usable target of those classes per role, ``(role, class)`` in the order of ``ROLES``.
        pixels: Their usable pixels, likewise.
        without_class: Usable targets per role whose crop the training folds do not know.
        incomplete: Labelled targets per role that were dropped for want of values.
        unlabelled: Targets per role without a class: unknown, ignored, background where it is none.
        without_fold: Targets that no fold may use.
        training: Running numbers of the samples with a training target.
        validation: The same for validation; targets of crops unknown to training do not count.
        rarest: Position of the class with the fewest targets that each sample of ``training`` holds.
        statistics: Normalisation of each sensor, from the training folds.
        features: Normalisation of the features of parcels, from the training folds; None where there are none.
        dates: Valid dates of the training targets, per sensor.
        complete: Whether a target needs a value on every date of every sensor.
    """

    kind: Kind
    classes: tuple[int, ...]
    samples: NDArray[np.int64]
    pixels: NDArray[np.int64]
    without_class: tuple[int, int, int]
    incomplete: tuple[int, int, int]
    unlabelled: tuple[int, int, int]
    without_fold: int
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    rarest: NDArray[np.int64]
    statistics: tuple[Statistics, ...]
    features: FeatureStatistics | None
    dates: tuple[Dates, ...]
    complete: bool

    @property
    def targets(self) -> NDArray[np.int64]:
        """What a loss counts, ``(role, class)``: pixels, parcels or chips."""
        return self.pixels if UNITS[self.kind] == "pixels" else self.samples

    def lookup(self) -> NDArray[np.int64]:
        """Class of each legend id, ``IGNORED`` where it is none, ``UNKNOWN`` of what nobody knows, ``(65536,)``."""
        table = np.full(_IDS, IGNORED, dtype=np.int64)
        table[UNKNOWN] = UNKNOWN_TARGET
        table[list(self.classes)] = np.arange(len(self.classes))
        return table

    def counts(self, samples: Samples) -> dict[str, Any]:
        """Numbers for a manifest; per role, targets of classes and those left out add up to all there are."""
        unit = UNITS[self.kind]

        def by_class(table: NDArray[np.int64]) -> dict[str, dict[str, int]]:
            return {
                role: {str(crop): int(count) for crop, count in zip(self.classes, counts, strict=True)}
                for role, counts in zip(ROLES, table, strict=True)
            }

        found: dict[str, Any] = {
            "samples": len(samples),
            "training_samples": len(self.training),
            "validation_samples": len(self.validation),
            "samples_by_class": by_class(self.samples),
            "pixels": by_class(self.pixels),
            f"{unit}_of_crops_unknown_to_training": dict(zip(ROLES, self.without_class, strict=True)),
            f"{unit}_without_{'complete_' if self.complete else ''}series": dict(
                zip(ROLES, self.incomplete, strict=True)
            ),
            f"{unit}_without_label": dict(zip(ROLES, self.unlabelled, strict=True)),
            f"{unit}_without_fold": self.without_fold,
            "valid_dates": {
                found.sensor: {"minimum": found.minimum, "median": found.median, f"{unit}_without": found.without}
                for found in self.dates
            },
        }
        return found


def survey(samples: Samples, split: Split, *, complete: bool = False) -> Survey:
    """Count and average what the training folds hold, in one pass over the memory maps.

    A usable target has a crop that can be one, a fold of the role, and values. Statistics see all values of the
    training folds, with a label or without, band by band without nodata.

    Args:
        samples: Of any kind.
        split: Roles of the folds.
        complete: Whether a target needs a value on every date of every sensor, for models that know no gaps;
            otherwise a single valid date of one sensor is enough.

    Raises:
        CropflowError: If no target of the training folds is usable, a band has no value there, crops are not of the
            legend, or acquisitions are to be complete.
    """
    if complete:
        _check_periods(samples)
    found = tally(samples, split, complete)
    number, role, crop, pixels = found.usable
    _check_crops(np.unique(crop), samples.legend)
    classes = np.unique(crop[role == 0])
    if not len(classes):
        raise CropflowError(_nothing_to_learn(samples, split, complete, int(found.incomplete[0])))
    if len(classes) == 1:
        log.warning("the training folds %s hold a single class; every target will be it", listing(split.training))
    known = np.isin(crop, classes)
    position = np.searchsorted(classes, crop[known])
    by_role = (role[known], position)
    shape = (len(ROLES), len(classes))
    counted, areas = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    np.add.at(counted, by_role, 1)
    np.add.at(areas, by_role, pixels[known])
    in_pixels = UNITS[samples.kind] == "pixels"
    lost = [int((pixels if in_pixels else np.ones_like(pixels))[~known & (role == each)].sum()) for each in range(3)]
    training, rarest = _rarest(number[known], role[known], position, (areas if in_pixels else counted)[0])
    result = Survey(
        kind=samples.kind,
        classes=tuple(int(found) for found in classes),
        samples=counted,
        pixels=areas,
        without_class=(lost[0], lost[1], lost[2]),
        incomplete=_three(found.incomplete),
        unlabelled=_three(found.unlabelled),
        without_fold=found.without_fold,
        training=training,
        validation=np.unique(number[known & (role == 1)]),
        rarest=rarest,
        statistics=tuple(sums.finish() for sums in found.sums.values()),
        features=_features(samples, training),
        dates=tuple(_dates(sensor, histogram) for sensor, histogram in found.dates.items()),
        complete=complete,
    )
    _report(result, samples)
    return result


def _check_periods(samples: Samples) -> None:
    for layout in samples.layouts:
        if layout.acquisitions:
            raise CropflowError(
                f"The series of {layout.sensor} are acquisitions, with other dates at each site and gaps; this model "
                "needs periods with a value in each. Choose a series of calendar periods, or a model that leaves out "
                "missing dates."
            )


def _check_crops(crops: NDArray[np.int64], legend: str) -> None:
    from cropflow.labels.legend import read_legend
    from cropflow.samples.labels import BACKGROUND

    strange = sorted({int(crop) for crop in crops} - {BACKGROUND, *read_legend(legend).ids})
    if strange:
        raise CropflowError(
            f"The samples hold the crops {listing(strange)}, which the legend {legend!r} lacks. "
            "Map the labels and build the samples again."
        )


def _nothing_to_learn(samples: Samples, split: Split, complete: bool, dropped: int) -> str:
    unit, kind = UNITS[samples.kind], samples.kind.replace("_", " ") if samples.kind != "pixels" else "pixel sets"
    gap = "have a period without a value" if complete else "have no valid date"
    singular = unit.removesuffix("s")
    return (
        f"The training folds {listing(split.training)} hold no usable {singular} in {len(samples)} {kind} "
        f"({dropped} labelled ones {gap}); expected at least one. "
        "Add places to the experiment, use fewer folds or smaller blocks, or raise max_gap of the series."
    )


def _rarest(
    number: NDArray[np.int64], role: NDArray[np.int64], position: NDArray[np.int64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples that train, ascending, and the class of each that has the fewest training targets."""
    mine = role == 0
    number, position = number[mine], position[mine]
    order = np.lexsort((position, targets[position], number))
    samples, first = np.unique(number[order], return_index=True)
    return samples, position[order][first]


def _features(samples: Samples, training: NDArray[np.int64]) -> FeatureStatistics | None:
    if not isinstance(samples, PixelSetSamples) or not samples.features:
        return None
    parts = [samples.places[place].features[rows] for place, _, rows in samples.split_up(training)]
    return feature_statistics(np.concatenate(parts))


def _dates(sensor: str, histogram: NDArray[np.int64]) -> Dates:
    having = histogram.copy()
    having[0] = 0
    total = having.sum()
    if not total:
        return Dates(sensor, 0, 0, int(histogram[0]))
    median = int(np.searchsorted(np.cumsum(having), (total + 1) // 2))
    return Dates(sensor, int(np.flatnonzero(having)[0]), median, int(histogram[0]))


def _three(values: NDArray[np.int64]) -> tuple[int, int, int]:
    training, validation, test = (int(value) for value in values)
    return training, validation, test


def _report(found: Survey, samples: Samples) -> None:
    unit = UNITS[found.kind]
    log.info(
        "%d classes; %d of %d samples to train, %d to validate; %d, %d and %d usable %s to train, validate, test",
        len(found.classes),
        len(found.training),
        len(samples),
        len(found.validation),
        *found.targets.sum(1),
        unit,
    )
    for dates in found.dates:
        log.info(
            "%s: training %s have %d valid dates at least, %d by the median; %d of %d lack the sensor",
            *(dates.sensor, unit, dates.minimum, dates.median, dates.without, found.targets[0].sum()),
        )
    gap = "a period without a value" if found.complete else "no valid date"
    for role, lost, incomplete, kept in zip(
        ROLES, found.without_class, found.incomplete, found.targets.sum(1), strict=True
    ):
        if lost:
            log.warning("%s: ignored %d of %d %s of crops that training lacks", role, lost, lost + kept, unit)
        if incomplete:
            total = incomplete + lost + kept
            log.warning("%s: ignored %d of %d labelled %s with %s", role, incomplete, total, unit, gap)
