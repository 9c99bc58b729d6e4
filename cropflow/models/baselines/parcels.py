"""Parcels as rows of a table: the mean series of their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.models.baselines.forest import Pixels, to_features
from cropflow.models.data.pixel_sets import PixelSetSamples, PlacePixelSets
from cropflow.models.data.survey import Survey
from cropflow.samples.sensors import Layout

_PIXELS = 262_144  # pixels averaged at a time, at least those of one parcel


def average_parcels(samples: PixelSetSamples, survey: Survey, numbers: NDArray[np.int64]) -> Pixels:
    """The mean series of some parcels.

    Args:
        samples: All pixel sets.
        survey: What the training folds know; of complete series, so that every parcel has a value on every date.
        numbers: Running numbers of the parcels, ascending: those of a role, as the survey gives them.
    """
    lookup = survey.lookup()
    features, classes = [], []
    for place, _, rows in samples.split_up(numbers):
        own = samples.places[place]
        features.append(average_rows(own, rows, samples.layouts))
        classes.append(lookup[own.crops[rows]])
    width = sum(layout.features for layout in samples.layouts)
    return Pixels(
        np.concatenate([np.empty((0, width), np.float32), *features]),
        np.concatenate([np.empty(0, np.int64), *classes]),
        len(numbers),
    )


def average_rows(place: PlacePixelSets, rows: NDArray[np.int64], layouts: tuple[Layout, ...]) -> NDArray[np.float32]:
    """Features of some parcels of a place: means over the pixels with a value in every band of a date.

    Args:
        place: Pixel sets of a place.
        rows: Parcels, ascending.
        layouts: Axes of each sensor's series.

    Returns:
        See :func:`cropflow.models.baselines.forest.to_features`, float32, ``(len(rows), feature)``.
    """
    parts = []
    ends = np.cumsum(place.counts[rows])
    cuts = np.searchsorted(ends, np.arange(_PIXELS, int(ends[-1]) if len(ends) else 0, _PIXELS))
    for chosen in np.split(rows, np.unique(cuts)):
        if len(chosen):
            means = {layout.sensor: _means(place, chosen, layout) for layout in layouts}
            parts.append(to_features(means, layouts))
    return np.concatenate(parts)


def _means(place: PlacePixelSets, rows: NDArray[np.int64], layout: Layout) -> NDArray[np.float32]:
    counts = place.counts[rows]
    starts = np.cumsum(counts) - counts
    pixels = np.arange(counts.sum()) + np.repeat(place.starts[rows] - starts, counts)
    values: NDArray[Any] = place.values[layout.sensor][pixels]
    valid = (values != layout.kind.nodata).all(axis=2, keepdims=True)
    total = np.add.reduceat(np.where(valid, values, 0).astype(np.float64), starts, axis=0)
    seen = np.add.reduceat(valid.astype(np.int64), starts, axis=0)
    means: NDArray[np.float32] = (total / np.maximum(seen, 1)).astype(np.float32)
    return means
