"""What every layout is read into: samples one by one, and what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.samples.sensors import Layout


@dataclass(frozen=True)
class Frames:
    """The series of one sensor of one sample.

    Attributes:
        values: In the sensor's dtype, unit and nodata, ``(T, C, *space)``: ``(S,)`` pixels of a parcel, ``(P, P)`` of a
            patch or chip. A date is nodata in all bands of a pixel, or in none.
        days: Days since the start of the season, int, ``(T,)``; ascending.
    """

    values: NDArray[Any]
    days: NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """One parcel, chip or patch.

    Attributes:
        site: What is dealt out to folds: a district, zone, region or area; of layouts without places the sample.
        id: Of the parcel or patch in the layout.
        fold: Fold of the sample.
        series: Sensor -> its series; a sensor may be absent.
        crop: Legend id; of patches ``(P, P)`` uint16, 0 background, 65534 unknown, 65535 ignore.
        parcels: Patches: parcel numbers, uint32, ``(P, P)``, 0 = none.
        barred: Patches: True where a pixel's parcel lies in another fold too and is in none, bool, ``(P, P)``.
        shape: Parcels: perimeter (m), fill ratio, perimeter over area (1/m); NaN where the layout does not tell.
        history: Crops of the parcel in earlier years, the latest first; 65534 where nobody knows. Empty without.
        place: Longitude and latitude of the upper-left pixel, degrees; NaN where the layout does not tell.
    """

    site: str
    id: str
    fold: int
    series: Mapping[str, Frames]
    crop: int | NDArray[np.uint16]
    parcels: NDArray[np.uint32] | None = None
    barred: NDArray[np.bool_] | None = None
    shape: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    history: tuple[int, ...] = ()
    place: tuple[float, float] = (np.nan, np.nan)


@dataclass
class Tally:
    """Where the samples of a layout went; what came in is what went out and what was dropped.

    Attributes:
        read: Samples that the files hold.
        kept: Samples that were written.
        dropped: Reason -> samples.
        found: What else was met -> how often: values out of range, dates without a value, pixels without a label.
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        """JSON-ready counts.

        Raises:
            RuntimeError: If they do not add up.
        """
        if self.read != self.kept + sum(self.dropped.values()):
            raise RuntimeError(f"{self.read} samples were read, {self.kept} kept, {dict(self.dropped)} dropped")
        counts = {"read": self.read, "kept": self.kept, "dropped": dict(sorted(self.dropped.items()))}
        return counts | {"found": {name: number for name, number in sorted(self.found.items()) if number}}


@dataclass(frozen=True)
class Source:
    """A layout that was opened: what its samples have in common, and how they are read.

    Attributes:
        kind: pixel_sets, patches or chips.
        layouts: Axes of each sensor's series.
        legend: Legend of the crops, by name or path.
        size: Rows and columns of a patch or chip; 0 of pixel sets.
        folds: Number of folds.
        lags: Earlier years of a history.
        walk: Reads the samples one by one, and counts into a tally what it drops and meets.
        units: What was dealt out to the folds, such as ``zones``.
        start: First day of the season, ISO 8601: day 0 of all dates.
    """

    kind: Kind
    layouts: tuple[Layout, ...]
    legend: str
    size: int
    folds: int
    walk: Callable[[Tally], Iterator[Sample]]
    units: str
    start: str
    lags: int = 0
