"""The series of a site on their way to a model: read once from top to bottom, checked, with their dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.samples.sensors import KINDS, Layout
from cropflow.samples.sources import STRIP
from cropflow.samples.stack import Stack

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import Predictor
    from cropflow.models.batch import Batch

# Sensor -> days since the start of the season, ``(T,)``.
Days = Mapping[str, NDArray[np.integer[Any]]]


class SiteSeries(Protocol):
    """The series of a site: in memory as a :class:`Stack`, or in stores of composites."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def window(self, rows: slice, columns: slice = ...) -> Stack:
        """Some rows and columns, ``(T, C, y, x)`` per sensor."""
        ...


class Rows:
    """The rows of a site in the order of a model's sensors, read once, a row of chunks at a time, the next one ahead.

    Args:
        predictor: The model.
        series: The series of all its sensors.
    """

    def __init__(self, predictor: Predictor, series: SiteSeries) -> None:
        self.predictor = predictor
        self.series = series
        self.first = self.last = 0
        self.held: Stack | None = None
        self.reader = ThreadPoolExecutor(1)
        self.ahead: tuple[slice, Future[Stack]] | None = None

    def take(self, first: int, last: int) -> Stack:
        """Rows from one up to another; neither may be above what was taken before.

        Returns:
            Per sensor ``(T, C, last - first, x)``; fewer rows at the end of the site.

        Raises:
            CropflowError: If sensors, or the number of periods or bands, are not the model's.
        """
        height = self.series.shape[0]
        last = min(last, height)
        if self.held is None or first >= self.last:
            self.first = self.last = first - first % STRIP
            self.held = None
        if last > self.last:
            # Chunks hold whole strips of rows: anything less would unpack them again and again.
            stop = min(-(-last // STRIP) * STRIP, height)
            fresh = self._read_ahead(slice(self.last, stop))
            if self.held is not None:
                kept = self.held.window(slice(first - self.first, None))
                fresh = fresh.changed(lambda sensor, values: np.concatenate([kept.values[sensor], values], axis=-2))
                self.first = first
            self.held, self.last = fresh, stop
        if self.held is None:
            raise ValueError(f"no rows {first} to {last} in a site of {height}")
        return self.held.window(slice(first - self.first, last - self.first))

    def _read_ahead(self, rows: slice) -> Stack:
        """Some rows; the next strip is unpacked beside the work on them."""
        asked = self.ahead[1] if self.ahead is not None and self.ahead[0] == rows else None
        found = self._read(rows) if asked is None else asked.result()
        following = slice(rows.stop, min(rows.stop + STRIP, self.series.shape[0]))
        self.ahead = None
        if following.start < following.stop:
            self.ahead = following, self.reader.submit(self._read, following)
        return found

    def _read(self, rows: slice) -> Stack:
        values = self.series.window(rows).values
        expected = {layout.sensor: layout for layout in self.predictor.layouts}
        if set(values) != set(expected):
            raise CropflowError(
                f"The series are of {', '.join(values)}; the model expects {', '.join(expected)}. "
                "Use composites of the sensors it was trained with."
            )
        return Stack({sensor: _checked(values[sensor], layout) for sensor, layout in expected.items()})


def _checked(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    wanted = (len(layout.periods), len(layout.bands))
    # Series of acquisitions have no periods, and as many dates as there were.
    periods = wanted[0] or values.shape[0]
    if values.ndim != 4 or values.shape[:2] != (periods, wanted[1]):
        raise CropflowError(
            f"The series of {layout.sensor} has the shape {values.shape}; the model expects {periods} periods and "
            f"{wanted[1]} bands. Use composites of the bands and the length of season it was trained with."
        )
    if values.dtype != KINDS[layout.sensor].dtype:
        raise ValueError(f"{layout.sensor} is {values.dtype}; expected {KINDS[layout.sensor].dtype}")
    return values


def days_of(layouts: Sequence[Layout]) -> Days:
    """Sensor -> days since the start of the season, int32, ``(T,)``."""
    return {layout.sensor: np.array(layout.days, dtype=np.int32) for layout in layouts}


def predictable(series: Stack, minimum_dates: int | None) -> NDArray[np.bool_]:
    """Where a model can predict: the same rule by which its training samples were chosen.

    Args:
        series: Per sensor values as stored, ``(..., T, C, y, x)``.
        minimum_dates: Valid dates that make a pixel seen by a sensor; None: all dates of all sensors are needed.

    Returns:
        True where a pixel has a value in every band on every date of every sensor; or, with a minimum, where at least
        one sensor sees it; bool, ``(..., y, x)``.
    """
    if minimum_dates is None:
        return series.complete()
    found = [
        (values != KINDS[sensor].nodata).all(axis=-3).sum(axis=-3) >= minimum_dates
        for sensor, values in series.values.items()
    ]
    return np.asarray(np.logical_or.reduce(found))


def predictable_pixels(batch: Batch, minimum_dates: int | None) -> NDArray[np.bool_]:
    """What :func:`predictable` says, of a batch of :func:`stored_batch`, bool, ``(B, *space)``."""
    masks = [one.valid.numpy() for one in batch.series.values()]
    if minimum_dates is None:
        return np.asarray(np.logical_and.reduce([mask.all(axis=1) for mask in masks]))
    # A pixel that a sensor sees too rarely is valid on none of its dates.
    return np.asarray(np.logical_or.reduce([mask.any(axis=1) for mask in masks]))


def stored_batch(series: Mapping[str, NDArray[Any]], days: Days, minimum_dates: int | None) -> Batch:
    """A batch of values as stored.

    Args:
        series: Sensor -> values, ``(B, T, C, *space)``.
        days: Sensor -> days since the start of the season, ``(T,)`` or ``(B, T)``.
        minimum_dates: A pixel with fewer valid dates of a sensor counts as not seen by it at all, as in training.
    """
    import torch

    from cropflow.models.batch import Batch, Series

    found = {}
    for sensor, values in series.items():
        nodata = KINDS[sensor].nodata
        valid = (values != nodata).all(axis=2)
        if minimum_dates is not None:
            seen = valid.sum(axis=1, keepdims=True) >= minimum_dates
            values = np.where(seen[:, :, None], values, values.dtype.type(nodata))
            valid &= seen
        # Of its own: torch cannot share what NumPy does not let it write.
        dates = np.array(np.broadcast_to(days[sensor], values.shape[:2]), dtype=np.int32)
        # A copy of what is read-only, such as a memory map.
        whole = np.require(values, requirements=("C", "W"))
        found[sensor] = Series(torch.from_numpy(whole), torch.from_numpy(dates), torch.from_numpy(valid))
    return Batch(found)
