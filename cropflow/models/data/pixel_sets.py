"""Pixel sets: all pixels of a parcel with its class, flat arrays with offsets; also seen pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.tables import read_table
from cropflow.models.data.samples import Samples, check_alike, open_array, open_series, read_about
from cropflow.samples.sensors import Layout

# In the order of `Batch.features`.
FEATURES = ("perimeter_m", "pixels", "fill_ratio", "perimeter_area_ratio")
_COLUMNS = ("crop", "fold", "start", *FEATURES)


@dataclass(frozen=True)
class PlacePixelSets:
    """The pixel sets of a place, memory-mapped: of N parcels, P pixels in all.

    Attributes:
        place: ``region/season``.
        values: Per sensor ``(P, T, C)``, in its dtype, unit and nodata; the pixels of a parcel lie side by side.
        observations: Per sensor observations behind each value, uint8, ``(P, T)``.
        dates: Per sensor days since the start of the season, int16, ``(N, T)``.
        crops: Legend id of each parcel, uint16, ``(N,)``.
        folds: Its fold, uint8, ``(N,)``.
        starts: Its first pixel, int64, ``(N,)``.
        counts: Its pixels, int64, ``(N,)``, at least 1.
        features: See ``FEATURES``, float32, ``(N, 4)``.
        history: Shares of the crops of ``history_crops`` in each earlier season, and last what is not known or of
            another crop, float32, ``(N, lag, crop + 1)``; of no lags where there is none.
        history_crops: Legend ids.
    """

    place: str
    values: Mapping[str, NDArray[Any]]
    observations: Mapping[str, NDArray[np.uint8]]
    dates: Mapping[str, NDArray[np.int16]]
    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    features: NDArray[np.float32]
    history: NDArray[np.float32]
    history_crops: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def pixels(self) -> int:
        """Pixels of all parcels."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class PixelSetSamples(Samples):
    """The pixel sets of all places; of the kind ``pixels``, their pixels one by one.

    Running numbers count parcels, whichever the kind; those of pixels count pixels over the places in order.
    """

    places: tuple[PlacePixelSets, ...]


def read_pixel_sets(
    places: Sequence[str], folders: Sequence[Path], kind: Literal["pixel_sets", "pixels"]
) -> PixelSetSamples:
    """Open the pixel sets of several places; see :func:`cropflow.models.data.reading.read_samples`."""
    opened = [_read_place(place, Path(folder)) for place, folder in zip(places, folders, strict=True)]
    check_alike(
        [(sets.place, layouts, about) for sets, layouts, about in opened],
        ("legend", "background", "lags"),
    )
    _, layouts, about = opened[0]
    return PixelSetSamples(
        kind=kind,
        places=tuple(sets for sets, _, _ in opened),
        layouts=layouts,
        legend=str(about["legend"]),
        minimum_dates=about.get("minimum_dates"),
        patch_size=1,
        features=len(FEATURES) if kind == "pixel_sets" else 0,
        lags=int(about.get("lags", 0)) if kind == "pixel_sets" else 0,
    )


def _read_place(place: str, folder: Path) -> tuple[PlacePixelSets, tuple[Layout, ...], dict[str, Any]]:
    about, layouts = read_about(folder, "pixel_sets.json", place)
    path = folder / "parcels.parquet"
    table = read_table(path, list(_COLUMNS))
    starts, counts = (table[name].to_numpy(np.int64) for name in ("start", "pixels"))
    total = _check_offsets(path, starts, counts)
    features = table[list(FEATURES)].to_numpy(np.float32)
    if not np.isfinite(features).all():
        number = int((~np.isfinite(features)).any(1).sum())
        raise CropflowError(
            f"{path} has {number} of {len(table)} parcels whose {', '.join(FEATURES)} are not all numbers; expected "
            "finite ones. Build the samples again."
        )
    values, observations, dates = open_series(folder, layouts, len(table), items=total)
    lags, crops = int(about.get("lags", 0)), tuple(int(crop) for crop in about.get("history_crops", ()))
    history: NDArray[np.float32] = np.zeros((len(table), 0, len(crops) + 1), dtype=np.float32)
    if lags:
        history = open_array(folder / "history.npy", "float32", (len(table), lags, len(crops) + 1))
    sets = PlacePixelSets(
        place,
        values,
        observations,
        dates,
        crops=table["crop"].to_numpy(np.uint16),
        folds=table["fold"].to_numpy(np.uint8),
        starts=starts,
        counts=counts,
        features=features,
        history=history,
        history_crops=crops,
    )
    return sets, layouts, about


def _check_offsets(path: Path, starts: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
    """Refuse parcels whose pixels do not lie one after the other; the number of pixels."""
    ends = np.cumsum(counts)
    wrong = np.flatnonzero((counts < 1) | (starts != ends - counts))
    if len(wrong):
        row = wrong[0]
        raise CropflowError(
            f"{path} says that parcel {row} has {counts[row]} pixels from {starts[row]}; expected at least one, from "
            f"{ends[row] - counts[row]}, the end of the parcel before. Build the samples again."
        )
    return int(ends[-1]) if len(ends) else 0
