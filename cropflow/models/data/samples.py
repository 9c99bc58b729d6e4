"""What the samples of every kind have in common, and which folds play which role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError, refuse
from cropflow.files.arrays import map_array
from cropflow.files.atomic import read_json
from cropflow.samples.labels import BACKGROUND, UNKNOWN
from cropflow.samples.sensors import NO_DATE, Layout, differences, layout_of


class Place(Protocol):
    """The samples of a place, memory-mapped."""

    @property
    def place(self) -> str:
        """``region/season``."""
        ...

    @property
    def dates(self) -> Mapping[str, NDArray[np.int16]]:
        """Sensor -> days since the start of the season, ``(N, T)``; ``NO_DATE`` where a series ends earlier."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Samples:
    """The samples of all places of an experiment; running numbers count over the places in order.

    Attributes:
        kind: What one of them is.
        places: In the order of the command.
        layouts: Axes of each sensor's series, in the order of the sensors; periods are those of the first place, the
            others have as many. Acquisitions have other dates at each site.
        legend: Legend of the crops.
        patch_size: Rows and columns of a patch or chip; 1 of pixel sets.
        features: Features of a parcel: 4 of pixel sets, 0 of the others.
        lags: Earlier seasons of the rotation history, 0 without.
        minimum_dates: Dates with a value by which a sensor sees a pixel; None: every sensor sees all dates.
    """

    kind: Kind
    places: tuple[Place, ...]
    layouts: tuple[Layout, ...]
    legend: str
    patch_size: int
    features: int = 0
    lags: int = 0
    minimum_dates: int | None = None

    def __len__(self) -> int:
        return sum(len(place) for place in self.places)

    def split_up(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Deal running numbers out to the places: place, positions in ``numbers``, and rows of the place.

        Args:
            numbers: Running numbers, in any order.
        """
        ends = np.cumsum([len(place) for place in self.places])
        of_place = np.searchsorted(ends, numbers, side="right")
        for place in np.unique(of_place):
            where = np.flatnonzero(of_place == place)
            yield int(place), where, numbers[where] - (ends[place] - len(self.places[place]))


@dataclass(frozen=True)
class Split:
    """Which folds play which role: fold i is tested, i + 1 validates, the others train.

    Attributes:
        fold: The test fold.
        count: Number of folds.
        background: Whether crop 0 is a class.
    """

    fold: int
    count: int
    background: bool

    def __post_init__(self) -> None:
        if self.count < 3:
            refuse("Number of folds", self.count, "at least 3: one to test, one to validate, one to train")
        if not 0 <= self.fold < self.count:
            refuse("Fold", self.fold, f"0 to {self.count - 1}")

    @property
    def validation(self) -> int:
        """The fold that decides when to stop."""
        return (self.fold + 1) % self.count

    @property
    def training(self) -> tuple[int, ...]:
        """The folds that are learnt from."""
        return tuple(fold for fold in range(self.count) if fold not in (self.fold, self.validation))

    def labelled(self, crops: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """True where a label can be a target."""
        known = crops < UNKNOWN
        return known if self.background else known & (crops != BACKGROUND)

    def roles(self, folds: NDArray[np.uint8]) -> NDArray[np.int8]:
        """0 where a fold trains, 1 where it validates, 2 where it is tested, -1 where it is none."""
        table = np.full(256, -1, dtype=np.int8)
        table[list(self.training)] = 0
        table[self.validation], table[self.fold] = 1, 2
        found: NDArray[np.int8] = table[folds]
        return found


def read_about(folder: Path, name: str, place: str) -> tuple[dict[str, Any], tuple[Layout, ...]]:
    """Read the JSON that says what a folder of samples holds, and the axes of its sensors.

    Raises:
        CropflowError: If it is missing, or names no sensors.
    """
    if not (folder / name).is_file():
        kind = name.removesuffix(".json")
        what = kind.replace("_", " ")
        raise CropflowError(f"{folder} holds no {name}; expected the {what} of {place}. Run samples_{kind}.")
    about: dict[str, Any] = read_json(folder / name)
    if "sensors" not in about:
        raise CropflowError(f"{folder}/{name} names no sensors; expected at least one. Build the samples again.")
    return about, tuple(layout_of(entry) for entry in about["sensors"])


def check_alike(found: Sequence[tuple[str, Sequence[Layout], Mapping[str, Any]]], keys: Sequence[str]) -> None:
    """Refuse places whose samples cannot be learnt from together.

    Args:
        found: Name, layouts and JSON of each place.
        keys: Keys of the JSON that must be the same.

    Raises:
        CropflowError: If places differ in sensors, bands, periods, radiometry, or in one of the keys.
    """
    first, layouts, about = found[0]
    for place, other, told in found[1:]:
        different = differences(other, layouts)
        if different:
            raise CropflowError(
                f"{place} has {different}, as {first} has. "
                "Train on places of one sample set whose seasons are equally long and whose radar is of one radiometry."
            )
        for key in (*keys, "minimum_dates"):
            if told.get(key) != about.get(key):
                raise CropflowError(
                    f"{key} of {place} is {told.get(key)!r}, that of {first} {about.get(key)!r}; expected the "
                    "same. Train on places of one sample set."
                )


def open_array(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array into memory, once it is what the samples' JSON and table say.

    Args:
        path: A ``.npy`` file.
        dtype: Its NumPy dtype.
        shape: Its shape.

    Raises:
        CropflowError: If it is missing, cut off, or of another dtype or shape.
    """
    wanted = f"{dtype} {shape}"
    array = map_array(path, wanted)
    if array.dtype != dtype or array.shape != shape:
        raise CropflowError(f"{path} holds {array.dtype} {array.shape}; expected {wanted}. Build the samples again.")
    return array


def open_dates(path: Path, layout: Layout, count: int) -> NDArray[np.int16]:
    """Read the dates of a sensor's series, days since the start of the season, ``(N, T)``.

    Raises:
        CropflowError: If they are missing, do not ascend, or are fewer or more than the layout says.
    """
    dates: NDArray[np.int16] = np.array(open_array(path, "int16", (count, layout.length)))
    real = dates != NO_DATE
    steps = np.diff(dates.astype(np.int64), axis=1)
    # Padding lies at the end alone; what reads the series may then cut it off.
    wrong = np.flatnonzero(((steps <= 0) & real[:, 1:] | (real[:, 1:] & ~real[:, :-1])).any(1))
    if len(wrong):
        raise CropflowError(
            f"{path} has {len(wrong)} of {count} series whose dates do not ascend, such as number {wrong[0]}; "
            f"expected ascending days, and {NO_DATE} only after the last. Build the samples again."
        )
    return dates


def open_series(
    folder: Path, layouts: Sequence[Layout], count: int, *, items: int | None = None, space: tuple[int, ...] = ()
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.uint8]], dict[str, NDArray[np.int16]]]:
    """Map the series of all sensors into memory.

    Args:
        folder: Folder of samples, with one per sensor.
        layouts: Axes of each sensor's series.
        count: Number of samples, N.
        items: Length of the first axis of the series, where it is not N: the pixels of all samples.
        space: Rows and columns of a sample.

    Returns:
        Sensor -> values as stored, ``(items, T, C, *space)``; observations, uint8, ``(items, T, *space)``; and days
        since the start of the season, int16, ``(N, T)``.

    Raises:
        CropflowError: If a file is missing, cut off, or not what the layouts say.
    """
    values, observations, dates = {}, {}, {}
    first = count if items is None else items
    for layout in layouts:
        sensor, own = layout.sensor, folder / layout.sensor
        dates[sensor] = open_dates(own / "dates.npy", layout, count)
        series = (first, dates[sensor].shape[1])
        values[sensor] = open_array(own / "values.npy", layout.kind.dtype, (*series, len(layout.bands), *space))
        observations[sensor] = open_array(own / "observations.npy", "uint8", (*series, *space))
    return values, observations, dates
