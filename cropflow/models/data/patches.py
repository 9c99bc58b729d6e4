"""Patches: squares of a site with a class per pixel, ``(T, C, P, P)`` per sensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.files.tables import read_table
from cropflow.models.data.samples import Samples, check_alike, open_array, open_series, read_about
from cropflow.samples.sensors import Layout
from cropflow.samples.stack import Stack

_LABELS = {"crops": "uint16", "folds": "uint8", "parcels": "uint32"}


@dataclass(frozen=True)
class PlacePatches:
    """The patches of a place, memory-mapped.

    Attributes:
        place: ``region/season``.
        series: Per sensor ``(N, T, C, P, P)``, in its dtype, unit and nodata.
        observations: Per sensor observations behind each value, uint8, ``(N, T, P, P)``.
        dates: Per sensor days since the start of the season, int16, ``(N, T)``.
        crops: uint16 legend ids, 0 background, 65534 unknown, 65535 ignore, ``(N, P, P)``.
        folds: uint8 fold in which the pixel may be used, 255 = none, ``(N, P, P)``.
        parcels: uint32 index in the site, 0 = none, ``(N, P, P)``.
        sites: Site of each patch, ``(N,)``.
    """

    place: str
    series: Stack
    observations: Mapping[str, NDArray[np.uint8]]
    dates: Mapping[str, NDArray[np.int16]]
    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    parcels: NDArray[np.uint32]
    sites: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True)
class PatchSamples(Samples):
    """The patches of all places, of one size."""

    places: tuple[PlacePatches, ...]

    def chunks(self, size: int) -> Iterator[tuple[int, PlacePatches, slice]]:
        """Walk over all patches: running number of the first, its place, and the rows of that place."""
        first = 0
        for place in self.places:
            for start in range(0, len(place), size):
                yield first + start, place, slice(start, min(start + size, len(place)))
            first += len(place)


def read_patches(places: Sequence[str], folders: Sequence[Path]) -> PatchSamples:
    """Open the patches of several places; see :func:`cropflow.models.data.reading.read_samples`."""
    opened = [_read_place(place, Path(folder)) for place, folder in zip(places, folders, strict=True)]
    check_alike(
        [(patches.place, layouts, about) for patches, layouts, about in opened],
        ("legend", "background", "patch_size"),
    )
    _, layouts, about = opened[0]
    return PatchSamples(
        kind="patches",
        places=tuple(patches for patches, _, _ in opened),
        layouts=layouts,
        legend=str(about["legend"]),
        minimum_dates=about.get("minimum_dates"),
        patch_size=int(about["patch_size"]),
    )


def _read_place(place: str, folder: Path) -> tuple[PlacePatches, tuple[Layout, ...], dict[str, Any]]:
    about, layouts = read_about(folder, "patches.json", place)
    sites = tuple(str(site) for site in read_table(folder / "index.parquet", ["site"])["site"])
    count, size = len(sites), int(about["patch_size"])
    labels = {name: open_array(folder / f"{name}.npy", dtype, (count, size, size)) for name, dtype in _LABELS.items()}
    series, observations, dates = open_series(folder, layouts, count, space=(size, size))
    return PlacePatches(place, Stack(series), observations, dates, sites=sites, **labels), layouts, about
