"""The patches of one or several places, of all their sensors, read through memory maps and checked once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, refuse
from cropflow.files.atomic import read_json
from cropflow.files.tables import read_table
from cropflow.samples.labels import BACKGROUND, UNKNOWN
from cropflow.samples.sensors import Layout, differences, layout_of
from cropflow.samples.stack import Stack

NO_CLASS = -1

_LABELS = {"crops": "uint16", "folds": "uint8", "parcels": "uint32"}


@dataclass(frozen=True)
class PlacePatches:
    """The patches of a place, memory-mapped.

    Attributes:
        place: ``region/season``.
        series: Per sensor ``(N, T, C, P, P)``, in its dtype, unit and nodata.
        crops: uint16 legend ids, 0 background, 65534 unknown, 65535 ignore, ``(N, P, P)``.
        folds: uint8 fold in which the pixel may be used, 255 = none, ``(N, P, P)``.
        parcels: uint32 index in the site, 0 = none, ``(N, P, P)``.
        sites: Site of each patch, ``(N,)``.
        days: Sensor -> days since the start of the season, int32, ``(T,)``.
    """

    place: str
    series: Stack
    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    parcels: NDArray[np.uint32]
    sites: tuple[str, ...]
    days: Mapping[str, NDArray[np.int32]]

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True)
class Samples:
    """The patches of all places of an experiment, of one shape.

    Attributes:
        places: In the order of the command.
        layouts: Axes of each sensor's series, in the order of the sensors; the periods are those of the first place,
            the others have as many.
        legend: Legend of the crops.
        patch_size: Rows and columns of a patch.
    """

    places: tuple[PlacePatches, ...]
    layouts: tuple[Layout, ...]
    legend: str
    patch_size: int

    def __len__(self) -> int:
        return sum(len(place) for place in self.places)

    def locate(self, index: int) -> tuple[PlacePatches, int]:
        """The place and its patch of a running number over all places."""
        for place in self.places:
            if index < len(place):
                return place, index
            index -= len(place)
        raise IndexError(f"patch {index} is beyond the last")

    def chunks(self, size: int) -> Iterator[tuple[int, PlacePatches, slice]]:
        """Walk over all patches: running number of the first, its place, and the rows of that place."""
        first = 0
        for place in self.places:
            for start in range(0, len(place), size):
                yield first + start, place, slice(start, min(start + size, len(place)))
            first += len(place)


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


def read_samples(places: Sequence[str], folders: Sequence[Path]) -> Samples:
    """Open the patches of several places.

    Args:
        places: ``region/season`` of each.
        folders: Its folder of patches.

    Raises:
        CropflowError: If a file is missing, or the places differ in sensors, bands, periods, radiometry, legend or
            patch size.
    """
    if len(places) != len(folders) or not places:
        raise CropflowError(f"{len(places)} places and {len(folders)} folders of samples; expected one folder each.")
    opened = [_read_place(place, Path(folder)) for place, folder in zip(places, folders, strict=True)]
    first, layouts, about = opened[0]
    for patches, other, told in opened[1:]:
        different = differences(other, layouts)
        if different:
            raise CropflowError(
                f"{patches.place} has {different}, as {first.place} has. "
                "Train on places of one sample set whose seasons are equally long and whose radar is of one radiometry."
            )
        for key in ("legend", "patch_size"):
            if told[key] != about[key]:
                raise CropflowError(
                    f"{key} of {patches.place} is {told[key]!r}, that of {first.place} {about[key]!r}; expected the "
                    "same. Train on places of one sample set."
                )
    return Samples(
        places=tuple(patches for patches, _, _ in opened),
        layouts=layouts,
        legend=str(about["legend"]),
        patch_size=int(about["patch_size"]),
    )


def _read_place(place: str, folder: Path) -> tuple[PlacePatches, tuple[Layout, ...], dict[str, Any]]:
    if not (folder / "patches.json").is_file():
        raise CropflowError(f"{folder} holds no patches.json; expected the patches of {place}. Run samples_patches.")
    about: dict[str, Any] = read_json(folder / "patches.json")
    if "sensors" not in about:
        raise CropflowError(f"{folder}/patches.json names no sensors; expected at least one. Build the samples again.")
    layouts = tuple(layout_of(entry) for entry in about["sensors"])
    sites = tuple(str(site) for site in read_table(folder / "index.parquet", ["site"])["site"])
    count, size = len(sites), int(about["patch_size"])
    labels = {name: _open_array(folder / f"{name}.npy", dtype, (count, size, size)) for name, dtype in _LABELS.items()}
    series = {
        layout.sensor: _open_array(
            folder / layout.sensor / "values.npy",
            layout.kind.dtype,
            (count, len(layout.periods), len(layout.bands), size, size),
        )
        for layout in layouts
    }
    days = {layout.sensor: np.array(layout.days, dtype=np.int32) for layout in layouts}
    return PlacePatches(place=place, series=Stack(series), sites=sites, days=days, **labels), layouts, about


def _open_array(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array into memory, once it is what the layout and the index of patches say."""
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected {dtype} {shape}. Build the samples again.")
    # An array without a single patch cannot be mapped.
    array: NDArray[Any] = np.load(path, allow_pickle=False)[:0] if _is_empty(path) else np.load(path, mmap_mode="r")
    if array.dtype != dtype or array.shape != shape:
        raise CropflowError(
            f"{path} holds {array.dtype} {array.shape}; expected {dtype} {shape}. Build the samples again."
        )
    return array


def _is_empty(path: Path) -> bool:
    with path.open("rb") as handle:
        version = np.lib.format.read_magic(handle)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return 0 in read(handle)[0]
