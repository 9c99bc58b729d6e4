"""What the series of each sensor are stored as, and which stores belong to a place."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing

# Derived bands lie beside reflectance as int16 x 10000 with nodata -32768; this shift makes them uint16 with nodata 0.
INDEX_SHIFT = 32_768
INDEX_DTYPE = "int16"
# The date of what only fills an array up to its longest series.
NO_DATE = -32_768


@dataclass(frozen=True)
class Kind:
    """How the values of a sensor are stored.

    Attributes:
        array: Array of a composite store, ``(period, band, y, x)``.
        dtype: NumPy dtype.
        nodata: Value that means none.
        unit: What a stored number counts.
        per_feature: Stored numbers in one of a forest's features: 10000 in a reflectance or index of 1, 1000 in a bel.
    """

    array: str
    dtype: str
    nodata: int
    unit: str
    per_feature: int


REFLECTANCE = Kind("reflectance", "uint16", 0, "reflectance x 10000", 10_000)
BACKSCATTER = Kind("backscatter", "int16", -32_768, "dB x 100", 1000)
KINDS: dict[str, Kind] = {
    "sentinel2": REFLECTANCE,
    "sentinel1_ascending": BACKSCATTER,
    "sentinel1_descending": BACKSCATTER,
}
TITLES = {
    "sentinel2": "Sentinel-2",
    "sentinel1_ascending": "Sentinel-1 ascending",
    "sentinel1_descending": "Sentinel-1 descending",
}


@dataclass(frozen=True)
class Layout:
    """The axes of a sensor's series.

    Attributes:
        sensor: Name of the sensor, a key of ``KINDS``.
        bands: All bands in order; the derived ones come last.
        indices: The derived bands, index x 10000, stored ``INDEX_SHIFT`` higher.
        periods: First day of each period, ISO 8601; empty of acquisitions.
        radiometry: Sentinel-1: ``sigma0`` or ``gamma0``; empty for Sentinel-2.
        longest: Acquisitions, whose dates differ from site to site: dates of the site that has the most. None of
            periods.
    """

    sensor: str
    bands: tuple[str, ...]
    indices: tuple[str, ...]
    periods: tuple[str, ...]
    radiometry: str = ""
    longest: int | None = None

    @property
    def acquisitions(self) -> bool:
        """Whether each site has dates of its own, instead of the periods of a season."""
        return self.longest is not None

    @property
    def length(self) -> int:
        """Dates of an array that holds series of all sites: T."""
        return len(self.periods) if self.longest is None else self.longest

    @property
    def kind(self) -> Kind:
        """How its values are stored."""
        return KINDS[self.sensor]

    @property
    def shifts(self) -> tuple[int, ...]:
        """Per band, what is stored more than the value counts."""
        measured = len(self.bands) - len(self.indices)
        return (0,) * measured + (INDEX_SHIFT,) * len(self.indices)

    @property
    def days(self) -> tuple[int, ...]:
        """Middle of each period, days since the first day of the first.

        Raises:
            ValueError: If there are no periods: acquisitions have dates of their own at each site.
        """
        if self.acquisitions:
            raise ValueError(f"the acquisitions of {self.sensor} have other days at each site")
        starts = [datetime.date.fromisoformat(period).toordinal() for period in self.periods]
        # The last period is as long as the one before it, to a few days.
        length = starts[-1] - starts[-2] if len(starts) > 1 else 0
        ends = [*starts[1:], starts[-1] + length]
        return tuple((start + end) // 2 - starts[0] for start, end in zip(starts, ends, strict=True))

    @property
    def features(self) -> int:
        """Values of a pixel: periods times bands."""
        return self.length * len(self.bands)

    def told(self) -> dict[str, Any]:
        """The entry of a JSON file."""
        told: dict[str, Any] = {
            "sensor": self.sensor,
            "bands": list(self.bands),
            "indices": list(self.indices),
            "periods": list(self.periods),
            "dtype": self.kind.dtype,
            "nodata": self.kind.nodata,
            "unit": self.kind.unit,
            "shifts": list(self.shifts),
        }
        if self.radiometry:
            told["radiometry"] = self.radiometry
        if self.longest is not None:
            told["acquisitions"] = self.longest
        return told


def layout_of(content: Mapping[str, Any]) -> Layout:
    """Read what :meth:`Layout.told` gave."""
    bands, indices, periods = (tuple(content[key]) for key in ("bands", "indices", "periods"))
    radiometry, longest = str(content.get("radiometry", "")), content.get("acquisitions")
    return Layout(str(content["sensor"]), bands, indices, periods, radiometry, longest)


def differences(found: Sequence[Layout], expected: Sequence[Layout]) -> str:
    """In what series differ from those expected, and how; empty where they fit.

    Periods are compared by their number: another season has other dates. Acquisitions are as many as were seen, and
    are not compared.

    Args:
        found: Layouts, one per sensor, in order.
        expected: The same.
    """
    ours, theirs = [one.sensor for one in found], [one.sensor for one in expected]
    if ours != theirs:
        return f"the sensors {', '.join(ours)}; expected {', '.join(theirs)}"
    for one, other in zip(found, expected, strict=True):
        # Which bands are derived is part of their names' meaning.
        if (one.bands, one.indices) != (other.bands, other.indices):
            return f"the bands {', '.join(one.bands)} of {one.sensor}; expected {', '.join(other.bands)}"
        if one.acquisitions != other.acquisitions:
            words = ["acquisitions" if layout.acquisitions else "periods" for layout in (one, other)]
            return f"{words[0]} of {one.sensor}; expected {words[1]}"
        if len(one.periods) != len(other.periods):
            return f"{len(one.periods)} periods of {one.sensor}; expected {len(other.periods)}"
        # sigma0 and gamma0 differ by some dB: a model of one reads the other wrongly.
        if one.radiometry != other.radiometry:
            return f"{one.radiometry or 'no radiometry'} of {one.sensor}; expected {other.radiometry or 'none'}"
    return ""


def join_indices(measured: NDArray[np.uint16], indices: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Append derived bands to reflectance, in one type with one nodata.

    Args:
        measured: Reflectance x 10000, uint16, ``(period, band, y, x)``; 0 = nodata.
        indices: Index x 10000, int16, ``(period, index, y, x)``; -32768 = nodata.

    Returns:
        uint16, ``(period, band + index, y, x)``; 0 = nodata. No number is lost: indices are ``INDEX_SHIFT`` higher.
    """
    # The shift is the sign bit; -32768 becomes 0.
    shifted = indices.view(np.uint16) ^ np.uint16(INDEX_SHIFT)
    return np.concatenate([measured, shifted], axis=1)


def by_place(stores: Sequence[Path], sensors: Sequence[str], places: int = 1) -> list[dict[str, Path]]:
    """Deal the values of ``--composites`` out to places and sensors.

    Args:
        stores: Stores of the first place in the order of the sensors, then those of the second, and so on.
        sensors: Sensors of the sample set or model.
        places: Number of places.

    Returns:
        Per place, sensor -> store.

    Raises:
        CropflowError: If a store is missing or too many, or bears the name of another sensor.
    """
    if len(stores) != places * len(sensors):
        raise CropflowError(
            f"--composites is given {len(stores)} times; expected {places * len(sensors)}: for each of {places} "
            f"place(s) in turn the stores of {listing(sensors)}."
        )
    dealt = [
        dict(zip(sensors, stores[start : start + len(sensors)], strict=True))
        for start in range(0, len(stores), len(sensors))
    ]
    for sensor, store in (pair for place in dealt for pair in place.items()):
        # Both directions of Sentinel-1 look alike: a swap would pass unseen.
        if store.stem in KINDS and store.stem != sensor:
            raise CropflowError(
                f"--composites is {store} where {sensor} is due; expected the order {listing(sensors)}."
            )
    return dealt
