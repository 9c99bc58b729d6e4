"""Forests and boosted trees on flattened series: the baselines, on the same folds as the networks."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models.baselines import GradientBoosting, RandomForest
from cropflow.models.baselines import build_baseline
from cropflow.models.baselines.boosting import fit_boosted, limit_openmp
from cropflow.models.baselines.random_split import RandomSplit, fit_scored
from cropflow.models.data.patches import PatchSamples, PlacePatches
from cropflow.models.data.pixel_sets import PixelSetSamples
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.survey import Survey
from cropflow.samples.sensors import Layout

log = logging.getLogger(__name__)

_CHUNK = 16_384  # pixels predicted at a time
_HELD = 4  # drawn pixels in memory, as a multiple of those that are learnt from


@dataclass(frozen=True)
class Pixels:
    """Pixels drawn from parcels, or the means of parcels.

    Attributes:
        features: See :func:`to_features`, float32, ``(n, feature)``.
        classes: Position of the class, int64, ``(n,)``.
        parcels: Number of parcels they come from.
    """

    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    parcels: int


@dataclass(frozen=True)
class TrainedForest:
    """A fitted forest, or boosted trees, and how they do on the validation fold.

    Attributes:
        unit: What is classified.
        forest: The scikit-learn classifier; its classes are positions.
        training: Pixels or parcels it learnt from.
        validation_pixels: Pixels or parcels it was checked on.
        row: The one row of its history, in the order of :data:`cropflow.models.checkpoints.HISTORY_COLUMNS`; its epoch
            counts the rounds of boosted trees.
        random_split: What a random split of the pixels it learnt from would claim; None where nothing was split: of
            boosted trees and of parcels.
    """

    unit: Literal["pixel", "parcel"]
    forest: Any
    training: Pixels
    validation_pixels: int
    row: list[float]
    random_split: RandomSplit | None

    def outcome(self) -> dict[str, Any]:
        """Entries of ``model.json``."""
        return {} if self.random_split is None else {"random_split": self.random_split.told()}

    def counts(self) -> dict[str, Any]:
        """Numbers for a manifest."""
        trained, validated = len(self.training.classes), self.validation_pixels
        if self.unit == "parcel":
            return {"averaged_training_parcels": trained, "averaged_validation_parcels": validated}
        return {
            "drawn_training_pixels": trained,
            "drawn_from_parcels": self.training.parcels,
            "drawn_validation_pixels": validated,
        }


def to_features(series: Mapping[str, NDArray[Any]], layouts: Sequence[Layout]) -> NDArray[np.float32]:
    """Flatten the series of pixels: sensor by sensor, period by period.

    Args:
        series: Sensor -> values as stored, or float32 means of them, ``(n, T, C)``.
        layouts: Axes of each sensor's series.

    Returns:
        float32, ``(n, feature)``: reflectance in [0, 1]; indices; backscatter in bels, the logarithm of linear power
        to base 10, about -3 to 0, so that no sensor's numbers dwarf another's.
    """
    parts = []
    for layout in layouts:
        values = series[layout.sensor]
        if any(layout.shifts):
            # Means of parcels are no whole numbers; what is one needs more than its 16 bits.
            wide = values if values.dtype == np.float32 else values.astype(np.int32)
            values = wide - np.array(layout.shifts, dtype=wide.dtype)
        flat = values.reshape(len(values), math.prod(values.shape[1:]))
        parts.append((flat / np.float32(layout.kind.per_feature)).astype(np.float32))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def draw_pixels(
    samples: PatchSamples, survey: Survey, split: Split, folds: tuple[int, ...], per_parcel: int, most: int, seed: int
) -> Pixels:
    """Draw pixels at random from each parcel, so that large parcels do not outvote small ones.

    Every pixel gets a random key from the seed and its position alone; a parcel keeps its smallest
    keys. The draw of one fold hence does not depend on the labels of another.

    Args:
        samples: All patches.
        survey: What the training folds know.
        split: Roles of the folds.
        folds: Folds to draw from.
        per_parcel: Pixels of a parcel, at most; pixels outside parcels count as one parcel per patch.
        most: Pixels in all, at most; the smallest keys stay.
        seed: Seed of the keys.
    """
    lookup = survey.lookup()
    parts: list[_Draw] = []
    parcels = 0
    for number, place in enumerate(samples.places):
        for site in dict.fromkeys(place.sites):
            rows = np.flatnonzero(np.array(place.sites) == site).tolist()
            drawn = [_draw_patch(place, row, lookup, split, folds, per_parcel, (seed, number)) for row in rows]
            # A parcel across patches: the smallest keys of all its parts.
            whole = _Draw.joined(drawn)
            part = whole.taken(_smallest(whole.group, whole.key, per_parcel))
            parcels += len(np.unique(part.group))
            parts.append(part)
            # What is not among the smallest keys now never will be: memory does not grow with the sites.
            if sum(len(found.key) for found in parts) > _HELD * most:
                parts = [_Draw.joined(parts).least(most)]
    kept = _Draw.joined(parts).least(most)
    return Pixels(to_features(kept.series, samples.layouts), kept.classes, parcels)


@dataclass(frozen=True)
class _Draw:
    """Pixels with the number of their parcel, their random key, class and series ``(n, T, C)`` per sensor."""

    group: NDArray[np.int64]
    key: NDArray[np.float64]
    classes: NDArray[np.int64]
    series: dict[str, NDArray[Any]]

    def taken(self, positions: NDArray[np.int64]) -> _Draw:
        series = {sensor: values[positions] for sensor, values in self.series.items()}
        return _Draw(self.group[positions], self.key[positions], self.classes[positions], series)

    def least(self, most: int) -> _Draw:
        """The pixels of the smallest keys, at most so many, in the order they have."""
        return self.taken(np.sort(np.argsort(self.key, kind="stable")[:most]))

    @staticmethod
    def joined(parts: Sequence[_Draw]) -> _Draw:
        return _Draw(
            np.concatenate([part.group for part in parts]),
            np.concatenate([part.key for part in parts]),
            np.concatenate([part.classes for part in parts]),
            {sensor: np.concatenate([part.series[sensor] for part in parts]) for sensor in parts[0].series},
        )


def _draw_patch(
    place: PlacePatches,
    row: int,
    lookup: NDArray[np.int64],
    split: Split,
    folds: tuple[int, ...],
    per_parcel: int,
    seed: tuple[int, int],
) -> _Draw:
    """The pixels of a patch that may be kept."""
    series, crops = place.series[row].read(), np.asarray(place.crops[row])
    usable = split.labelled(crops) & np.isin(place.folds[row], folds) & series.complete()
    usable &= lookup[crops] >= 0
    # Keys for the whole patch: which pixels are labelled must not shift the keys of the others.
    key = np.random.default_rng([*seed, row]).random(crops.shape)[usable]
    parcel = np.asarray(place.parcels[row])[usable].astype(np.int64)
    site = sorted(set(place.sites)).index(place.sites[row])
    group = np.where(parcel > 0, (site << 33) + parcel, (site << 33) + (1 << 32) + row)
    return _Draw(group, key, lookup[crops[usable]], series.pixels(usable)).taken(_smallest(group, key, per_parcel))


def _smallest(group: NDArray[np.int64], key: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Positions of the ``count`` smallest keys of each group, ascending."""
    order = np.lexsort((key, group))
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, np.int64)
    rank = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
    return np.sort(order[rank < count])


def train_forest(
    samples: Samples,
    survey: Survey,
    split: Split,
    settings: RandomForest | GradientBoosting,
    *,
    seed: int,
    threads: int,
) -> TrainedForest:
    """Fit a forest or boosted trees on the training folds and score them on the validation fold.

    Args:
        samples: All patches, or all pixel sets where the unit is the parcel.
        survey: What the training folds know; of complete series.
        split: Roles of the folds.
        settings: Trees and draw.
        seed: Seed of the draw and the trees.
        threads: Threads; a forest does not depend on them, boosted trees do in their last digits.
    """
    if isinstance(samples, PixelSetSamples):
        from cropflow.models.baselines.parcels import average_parcels

        training = average_parcels(samples, survey, survey.training)
        validation = average_parcels(samples, survey, survey.validation)
    elif isinstance(samples, PatchSamples):
        draw = (settings.pixels_per_parcel, settings.maximum_pixels, seed)
        training = draw_pixels(samples, survey, split, split.training, *draw)
        validation = draw_pixels(samples, survey, split, (split.validation,), *draw)
    else:
        raise TypeError(f"{settings.name} learns from patches or pixel sets, not from {samples.kind}")
    log.info("%s on %d %ss of %d parcels", settings.name, len(training.classes), settings.unit, training.parcels)
    model, random_split, rounds = build_baseline(settings, seed, threads), None, 1
    if isinstance(settings, GradientBoosting):
        rounds = fit_boosted(model, training, validation, settings.patience, threads)
    elif settings.unit == "pixel":
        random_split = fit_scored(model, training.features, training.classes)
    else:
        model.fit(training.features, training.classes)
    if isinstance(settings, RandomForest):
        model.n_jobs = None  # the file must not depend on the machine
    row = [float(rounds), math.nan, math.nan, math.nan, math.nan, math.nan]
    if len(validation.classes):
        row[2:5] = _validate(model, validation, len(survey.classes), threads)
        log.info("validation: loss %.4f, accuracy %.1f %%, balanced %.1f %%", row[2], 100 * row[3], 100 * row[4])
    else:
        log.warning("validation fold %d has no usable %s; the model is not checked", split.validation, settings.unit)
    return TrainedForest(settings.unit, model, training, len(validation.classes), row, random_split)


def _validate(forest: Any, pixels: Pixels, classes: int, threads: int) -> list[float]:
    probability = predict_pixels(forest, pixels.features, classes, threads)
    own = probability[np.arange(len(pixels.classes)), pixels.classes]
    right = probability.argmax(1) == pixels.classes
    recalls = [right[pixels.classes == crop].mean() for crop in np.unique(pixels.classes)]
    # A forest may give 0 to the truth; the floor keeps one such pixel from deciding the loss.
    return [float(-np.log(np.maximum(own, 1e-6)).mean()), float(right.mean()), float(np.mean(recalls))]


def predict_pixels(forest: Any, features: NDArray[np.float32], classes: int, threads: int) -> NDArray[np.float32]:
    """Probability of each class, float32, ``(n, class)``.

    Threads share out pixels, not trees: sums over trees keep their order, so that equal input gives
    equal bytes. Memory is bounded by chunks of pixels.

    Args:
        forest: Fitted on positions of classes.
        features: ``(n, feature)``.
        classes: Number of classes.
        threads: Chunks at a time.
    """
    result = np.zeros((len(features), classes), dtype=np.float32)

    def predict(rows: slice) -> None:
        result[rows, forest.classes_] = forest.predict_proba(features[rows])

    # Boosted trees would take all threads of OpenMP for each chunk.
    with ThreadPoolExecutor(threads, initializer=limit_openmp, initargs=(1,)) as pool:
        for _ in pool.map(predict, _slices(len(features))):
            pass
    return result


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))
