"""The pixels of parcels, read from the series of a site: all of them, parcel after parcel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.models.applying.series import Rows, SiteSeries, predictable
from cropflow.samples.sensors import KINDS
from cropflow.samples.sources import STRIP

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import Predictor

Values = NDArray[Any]


@dataclass(frozen=True)
class PixelSets:
    """The pixels of some parcels, one parcel after the other.

    Attributes:
        index: Index of each parcel, int64, ``(n,)``, ascending.
        starts: First pixel of each, and the number of all, int64, ``(n + 1,)``.
        boxes: Pixels of the bounding box of each, int64, ``(n,)``.
        values: Sensor -> values as stored, ``(pixel, T, C)``.
    """

    index: NDArray[np.int64]
    starts: NDArray[np.int64]
    boxes: NDArray[np.int64]
    values: dict[str, Values]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Pixels of each parcel."""
        return np.diff(self.starts)

    def padded(self, parcels: NDArray[np.int64]) -> tuple[dict[str, Values], NDArray[np.bool_]]:
        """Some parcels as one array each, short ones filled with nodata.

        Args:
            parcels: Positions of parcels.

        Returns:
            Sensor -> ``(B, T, C, S)``, and where there is a pixel, bool, ``(B, S)``.
        """
        sizes = self.sizes[parcels]
        slots = np.arange(int(sizes.max()))
        pixels = slots < sizes[:, None]
        where = np.where(pixels, self.starts[parcels][:, None] + slots, 0)
        found = {}
        for sensor, values in self.values.items():
            drawn = values[where]
            drawn[~pixels] = KINDS[sensor].nodata
            found[sensor] = np.ascontiguousarray(np.moveaxis(drawn, 1, -1))
        return found, pixels


def gather_sets(
    predictor: Predictor, series: SiteSeries, index: NDArray[np.uint32], where: NDArray[np.bool_]
) -> Iterator[PixelSets]:
    """Read the pixels of parcels from top to bottom; a parcel comes out once its last row is read.

    Args:
        predictor: A model of pixel sets.
        series: The series of all its sensors.
        index: Parcel of each pixel, uint32, ``(y, x)``.
        where: Pixels that stand for their parcels, bool, ``(y, x)``.

    Yields:
        Parcels that were completed, pixels in the order of rows and columns; those without a single pixel that can be
        predicted do not come out.
    """
    source = Rows(predictor, series)
    last = np.full(int(index.max(initial=0)) + 1, -1, dtype=np.int64)
    rows, columns = np.nonzero(where)
    np.maximum.at(last, index[rows, columns], rows)
    width = where.shape[1]
    # Pixels of parcels that go on below: their owners, where they lie, and their values.
    held: list[tuple[NDArray[np.int64], NDArray[np.int64], dict[str, Values]]] = []
    for top in range(0, len(where), STRIP):
        strip = slice(top, top + STRIP)
        if where[strip].any():
            found = source.take(top, top + STRIP)
            mask = where[strip] & predictable(found, predictor.minimum_dates)
            place = np.flatnonzero(mask) + top * width
            held.append((index[strip][mask].astype(np.int64), place, found.pixels(mask)))
        if not held:
            continue
        owner, place = (np.concatenate([part[position] for part in held]) for position in (0, 1))
        values = {sensor: np.concatenate([part[2][sensor] for part in held]) for sensor in held[0][2]}
        done = last[owner] < top + STRIP
        if done.any():
            own = {sensor: part[done] for sensor, part in values.items()}
            yield _sets(owner[done], np.divmod(place[done], width), own)
        held = [(owner[~done], place[~done], {sensor: part[~done] for sensor, part in values.items()})]


def _sets(
    owner: NDArray[np.int64], place: tuple[NDArray[np.int64], NDArray[np.int64]], values: dict[str, Values]
) -> PixelSets:
    # Stable: the pixels of a parcel stay in the order of rows and columns.
    order = np.argsort(owner, kind="stable")
    index, first = np.unique(owner[order], return_index=True)
    boxes = np.ones(len(index), dtype=np.int64)
    for along in place:
        boxes *= np.maximum.reduceat(along[order], first) - np.minimum.reduceat(along[order], first) + 1
    starts = np.append(first, len(owner)).astype(np.int64)
    return PixelSets(index, starts, boxes, {sensor: part[order] for sensor, part in values.items()})


def batches_of_sets(sizes: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Put sets of like size together, so that little is padded.

    Args:
        sizes: Pixels of each set.
        budget: Slots of a batch, at most; a larger set comes alone.

    Yields:
        Positions of sets.
    """
    order = np.argsort(sizes, kind="stable")
    start = 0
    for stop in range(1, len(order) + 1):
        # The next set is the largest of its batch, and so decides the slots of all.
        if stop == len(order) or (stop - start + 1) * sizes[order[stop]] > budget:
            yield order[start:stop]
            start = stop
