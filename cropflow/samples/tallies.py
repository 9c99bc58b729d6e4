"""What became of the parcels of a place, and on how many dates its samples are seen."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.samples.labels import BACKGROUND, UNKNOWN
from cropflow.samples.sensors import Layout

log = logging.getLogger(__name__)

# What becomes of a parcel; the first that holds, in this order, is its reason.
PARCEL_REASONS = ("out_of_scope", "unknown", "without_pixels", "rim_fold_or_ring", "too_few_dates", "usable")


def parcel_reasons(parcels: pandas.DataFrame, background: bool) -> NDArray[np.int64]:
    """Why each parcel is a sample or not: positions in ``PARCEL_REASONS``.

    Args:
        parcels: ``crop``, ``pixels``, ``usable_pixels``, ``unseen_pixels`` of ``parcels.parquet``.
        background: Whether crop 0 is learnt.
    """
    lost = [
        (parcels["crop"] == BACKGROUND) & (not background),
        parcels["crop"] == UNKNOWN,
        parcels["pixels"] == 0,
        (parcels["usable_pixels"] == 0) & (parcels["unseen_pixels"] == 0),
        parcels["usable_pixels"] == 0,
    ]
    found: NDArray[np.int64] = np.select([one.to_numpy() for one in lost], range(len(lost)), len(lost))
    return found


def tally_parcels(parcels: pandas.DataFrame, background: bool) -> dict[str, int]:
    """Count parcels, in each site once, by what became of them; the counts add up to all.

    Args:
        parcels: As for :func:`parcel_reasons`.
        background: Whether crop 0 is learnt.
    """
    counts = np.bincount(parcel_reasons(parcels, background), minlength=len(PARCEL_REASONS))
    return dict(zip(PARCEL_REASONS, counts.tolist(), strict=True))


def check_any(reasons: Mapping[str, int]) -> None:
    """Refuse a place without a parcel to learn from.

    Args:
        reasons: Counts of :func:`tally_parcels`.

    Raises:
        CropflowError: If there is none.
    """
    if not reasons["usable"]:
        raise CropflowError(
            f"None of {sum(reasons.values())} parcels has a pixel to learn from; expected at least one. Parcels by "
            "reason: " + ", ".join(f"{name} {number}" for name, number in reasons.items()) + ". Lower folds.ring_m or "
            "inner_buffer_m, or take a model of patches, which learn what lies outside too."
        )


class DateTally:
    """On how many dates each sample is seen by each sensor: with a value of any of its pixels."""

    def __init__(self, layouts: Sequence[Layout], samples: int) -> None:
        self.dates = {layout.sensor: np.zeros(samples, dtype=np.int64) for layout in layouts}

    def add(self, sensor: str, sample: int, valid: NDArray[np.bool_]) -> None:
        """Count the dates of a sample.

        Args:
            sensor: Name of the sensor.
            sample: Its number.
            valid: True where a pixel has a value on a date, bool, ``(T, y, x)``.
        """
        self.dates[sensor][sample] = np.count_nonzero(valid.reshape(len(valid), -1).any(axis=1))

    def told(self) -> dict[str, Any]:
        """JSON-ready: per sensor the ``samples`` that lack it, and the dates of those that do not."""
        return {sensor: describe_dates(*np.unique(dates, return_counts=True)) for sensor, dates in self.dates.items()}


def describe_dates(dates: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[str, Any]:
    """How many samples or pixels lack a sensor, and on how many dates it sees the others.

    Args:
        dates: Numbers of dates with a value, each once, int, ``(n,)``; 0 where the sensor is lacking.
        counts: Samples or pixels of each number, int, ``(n,)``.

    Returns:
        ``lacking``; ``minimum_dates`` and ``median_dates`` (the lower of two middles) of the others, None where there
        are none.
    """
    order = np.argsort(dates)
    dates, counts = dates[order], counts[order]
    lacking = int(counts[dates == 0].sum())
    dates, counts = dates[dates > 0], counts[dates > 0]
    if not len(dates):
        return {"lacking": lacking, "minimum_dates": None, "median_dates": None}
    middle = np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2)
    return {"lacking": lacking, "minimum_dates": int(dates[0]), "median_dates": int(dates[middle])}


def tell_dates(what: str, total: int, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Log what :meth:`DateTally.told` says.

    Args:
        what: What is counted, such as ``parcels``.
        total: How many there are.
        told: Per sensor.
    """
    for sensor, found in told.items():
        log.info(
            "%s: %d of %d %s lack it; the others have values on %s dates at least, %s in the median",
            sensor, found["lacking"], total, what, found["minimum_dates"], found["median_dates"],
        )  # fmt: skip
