"""The patches of one or several places, read through memory maps and checked once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, refuse
from cropflow.files.atomic import read_json
from cropflow.files.tables import read_table
from cropflow.samples.labels import BACKGROUND, UNKNOWN

NO_CLASS = -1

_ARRAYS = {"reflectance": "uint16", "crops": "uint16", "folds": "uint8", "parcels": "uint32"}


@dataclass(frozen=True)
class PlacePatches:
    """The patches of a place, memory-mapped.

    Attributes:
        place: ``region/season``.
        reflectance: uint16, x 10000, 0 = nodata, ``(N, T, C, P, P)``.
        crops: uint16 legend ids, 0 background, 65534 unknown, 65535 ignore, ``(N, P, P)``.
        folds: uint8 fold in which the pixel may be used, 255 = none, ``(N, P, P)``.
        parcels: uint32 index in the site, 0 = none, ``(N, P, P)``.
        sites: Site of each patch, ``(N,)``.
    """

    place: str
    reflectance: NDArray[np.uint16]
    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    parcels: NDArray[np.uint32]
    sites: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.reflectance)


@dataclass(frozen=True)
class Samples:
    """The patches of all places of an experiment, of one shape.

    Attributes:
        places: In the order of the command.
        bands: Names of the bands.
        periods: Start of each period of the first place, ISO dates; the others have as many.
        legend: Legend of the crops.
        patch_size: Rows and columns of a patch.
    """

    places: tuple[PlacePatches, ...]
    bands: tuple[str, ...]
    periods: tuple[str, ...]
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


def complete(reflectance: NDArray[np.uint16], axes: tuple[int, int]) -> NDArray[np.bool_]:
    """True where a series has a value in every period and band.

    Args:
        reflectance: 0 = nodata.
        axes: The axes of period and band.
    """
    whole: NDArray[np.bool_] = (reflectance != 0).all(axis=axes)
    return whole


def read_samples(places: Sequence[str], folders: Sequence[Path]) -> Samples:
    """Open the patches of several places.

    Args:
        places: ``region/season`` of each.
        folders: Its folder of samples, which holds ``patches/``.

    Raises:
        CropflowError: If a file is missing, or the places differ in bands, periods, legend or patch size.
    """
    if len(places) != len(folders) or not places:
        raise CropflowError(f"{len(places)} places and {len(folders)} folders of samples; expected one folder each.")
    opened = [_read_place(place, Path(folder) / "patches") for place, folder in zip(places, folders, strict=True)]
    first, layout = opened[0][0].place, opened[0][1]
    for patches, other in opened[1:]:
        for key in ("bands", "periods", "legend", "patch_size"):
            ours, theirs = layout[key], other[key]
            if (len(ours) != len(theirs)) if key == "periods" else (ours != theirs):
                raise CropflowError(
                    f"{key} of {patches.place} are {theirs}, those of {first} {ours}; expected the same. "
                    "Train on places of one sample set whose seasons are equally long."
                )
    return Samples(
        places=tuple(patches for patches, _ in opened),
        bands=tuple(layout["bands"]),
        periods=tuple(layout["periods"]),
        legend=str(layout["legend"]),
        patch_size=int(layout["patch_size"]),
    )


def _read_place(place: str, folder: Path) -> tuple[PlacePatches, dict[str, Any]]:
    if not (folder / "patches.json").is_file():
        raise CropflowError(f"{folder} holds no patches.json; expected the patches of {place}. Run its samples rule.")
    layout: dict[str, Any] = read_json(folder / "patches.json")
    arrays = {name: _open_array(folder / f"{name}.npy") for name in _ARRAYS}
    count, size = len(arrays["crops"]), int(layout["patch_size"])
    for name, dtype in _ARRAYS.items():
        series = (len(layout["periods"]), len(layout["bands"])) if name == "reflectance" else ()
        expected = (count, *series, size, size)
        found = arrays[name]
        if found.dtype != dtype or found.shape != expected:
            raise CropflowError(
                f"{folder / name}.npy holds {found.dtype} {found.shape}; expected {dtype} {expected}. "
                "Build the samples again."
            )
    sites = tuple(str(site) for site in read_table(folder / "index.parquet", ["site"])["site"])
    if len(sites) != count:
        raise CropflowError(f"{folder}/index.parquet has {len(sites)} rows; expected {count}. Build the samples again.")
    return PlacePatches(place=place, sites=sites, **arrays), layout


def _open_array(path: Path) -> NDArray[Any]:
    # An array without a single patch cannot be mapped.
    array: NDArray[Any] = np.load(path, allow_pickle=False)[:0] if _is_empty(path) else np.load(path, mmap_mode="r")
    return array


def _is_empty(path: Path) -> bool:
    with path.open("rb") as handle:
        version = np.lib.format.read_magic(handle)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return 0 in read(handle)[0]
