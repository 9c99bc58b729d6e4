"""Chips: a square around a point of a parcel, with the parcel's class, ``(T, C, S, S)`` per sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.files.tables import read_table
from cropflow.models.data.samples import Samples, check_alike, open_series, read_about
from cropflow.samples.sensors import Layout

_COLUMNS = ("site", "index", "parcel_id", "crop", "fold", "row", "column")


@dataclass(frozen=True)
class PlaceChips:
    """The chips of a place, memory-mapped.

    Attributes:
        place: ``region/season``.
        values: Per sensor ``(N, T, C, S, S)``, in its dtype, unit and nodata.
        observations: Per sensor observations behind each value, uint8, ``(N, T, S, S)``.
        dates: Per sensor days since the start of the season, int16, ``(N, T)``.
        crops: Legend id of each chip's parcel, uint16, ``(N,)``.
        folds: Its fold, uint8, ``(N,)``.
    """

    place: str
    values: Mapping[str, NDArray[Any]]
    observations: Mapping[str, NDArray[np.uint8]]
    dates: Mapping[str, NDArray[np.int16]]
    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True)
class ChipSamples(Samples):
    """The chips of all places, of one size."""

    places: tuple[PlaceChips, ...]


def read_chips(places: Sequence[str], folders: Sequence[Path]) -> ChipSamples:
    """Open the chips of several places; see :func:`cropflow.models.data.reading.read_samples`."""
    opened = [_read_place(place, Path(folder)) for place, folder in zip(places, folders, strict=True)]
    check_alike(
        [(chips.place, layouts, about) for chips, layouts, about in opened],
        ("legend", "background", "chip_size"),
    )
    _, layouts, about = opened[0]
    return ChipSamples(
        kind="chips",
        places=tuple(chips for chips, _, _ in opened),
        layouts=layouts,
        legend=str(about["legend"]),
        minimum_dates=about.get("minimum_dates"),
        patch_size=int(about["chip_size"]),
    )


def _read_place(place: str, folder: Path) -> tuple[PlaceChips, tuple[Layout, ...], dict[str, Any]]:
    about, layouts = read_about(folder, "chips.json", place)
    table = read_table(folder / "chips.parquet", list(_COLUMNS))
    count, size = len(table), int(about["chip_size"])
    values, observations, dates = open_series(folder, layouts, count, space=(size, size))
    crops, folds = table["crop"].to_numpy(np.uint16), table["fold"].to_numpy(np.uint8)
    return PlaceChips(place, values, observations, dates, crops, folds), layouts, about
