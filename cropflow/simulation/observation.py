"""What the archive shows of every parcel: mean reflectance on the dates on which the scene classification is clear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from cropflow.config.imagery import BANDS_10M, SENTINEL2_BANDS
from cropflow.simulation.acquisitions import Acquisition
from cropflow.simulation.clouds import Sky
from cropflow.simulation.sentinel2 import Optics, offset_20m

Float32 = NDArray[np.float32]
USABLE = (4, 5, 6, 7)
# Blur, registration and the pixel itself as one Gaussian: standard deviation in 5 m pixels, 10 m and 20 m bands.
_SPREAD = (1.4, 2.6)


@dataclass(frozen=True)
class Members:
    """Pixels of each parcel: those that lie whole inside it, or all that begin in it where none does.

    Attributes:
        pixel: Flat index of pixels on the 10 m grid, ``(member,)``.
        field: Parcel of each, 0-based, ``(member,)``.
        count: Pixels of each parcel, ``(parcel,)``; 0 where it is too small to be seen.
        purity: Share of the parcel's own light in the 10 m and the 20 m bands, float32 ``(2, parcel)``.
        soil: Brightness class of the soil in the middle of the list of its pixels, ``(parcel,)``.
    """

    pixel: NDArray[np.int64]
    field: NDArray[np.int64]
    count: NDArray[np.int64]
    purity: Float32
    soil: NDArray[np.int64]


def find_members(raster: NDArray[np.uint32], soil: NDArray[np.uint8], parcels: int) -> Members:
    """Find the pixels of each parcel.

    Args:
        raster: Parcel of each 5 m pixel, 1..n, 0 = none.
        soil: Brightness class of each 5 m pixel.
        parcels: Number of parcels.
    """
    quads = [raster[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    whole = (quads[0] == quads[1]) & (quads[0] == quads[2]) & (quads[0] == quads[3])
    first = quads[0].astype(np.int64).ravel()
    inside = np.bincount(first[whole.ravel()], minlength=parcels + 1)
    used = (first > 0) & (whole.ravel() | (inside[first] == 0))
    pixel = np.flatnonzero(used)
    field = first[pixel] - 1
    count = np.bincount(field, minlength=parcels)
    purity = np.stack([_purity(raster, pixel, field, count, spread) for spread in _SPREAD])
    order = np.argsort(field, kind="stable")
    middle = np.minimum(np.cumsum(count) - (count + 1) // 2, max(pixel.size - 1, 0))
    brightness = soil[::2, ::2].ravel()[pixel[order][middle]] if pixel.size else np.zeros(parcels)
    return Members(pixel, field, count, purity, brightness.astype(np.int64))


def _purity(
    raster: NDArray[np.uint32], pixel: NDArray[np.int64], field: NDArray[np.int64], count: NDArray[np.int64], sd: float
) -> Float32:
    """Mean share of a Gaussian around each parcel's pixels that falls on the parcel itself, ``(parcel,)``."""
    width = raster.shape[1] // 2
    row, column = 2 * (pixel // width), 2 * (pixel % width)
    steps = np.array([-1.6, -0.8, 0.0, 0.8, 1.6])
    weight = np.exp(-0.5 * steps**2)
    own = np.zeros(pixel.size)
    for down, down_weight in zip(np.rint(0.5 + sd * steps).astype(int), weight, strict=True):
        for right, right_weight in zip(np.rint(0.5 + sd * steps).astype(int), weight, strict=True):
            rows = np.clip(row + down, 0, raster.shape[0] - 1)
            columns = np.clip(column + right, 0, raster.shape[1] - 1)
            own += down_weight * right_weight * (raster[rows, columns] == field + 1)
    own /= weight.sum() ** 2
    total = np.bincount(field, own, minlength=count.size)
    return np.asarray(total / np.maximum(count, 1), np.float32)


@dataclass(frozen=True)
class Observation:
    """What one date shows of the parcels.

    Attributes:
        clear: Parcels of which at least half is usable, bool ``(parcel,)``.
        reflectance: Mean over the usable pixels, float32 ``(parcel, band)``; meaningless where not clear.
        sky: Mean of what truly lay before those pixels, each layer ``(parcel,)``.
    """

    clear: NDArray[np.bool_]
    reflectance: Float32
    sky: Sky


def observe(folder: Path, offset: int, members: Members, optics: Optics, sky: Sky) -> Observation:
    """Read one scene of the archive.

    Args:
        folder: Folder of the scene's files.
        offset: Offset of its processing baseline.
        members: Pixels of the parcels.
        optics: How the landscape is seen.
        sky: The true sky of the scene at 10 m.
    """
    shape = optics.land.grid.shape
    classes = _to_10m(_read(folder / "SCL.tif"), shape, offset_20m(optics.land.grid)).ravel()[members.pixel]
    usable = np.isin(classes, USABLE)
    field = members.field[usable]
    seen = np.bincount(field, minlength=members.count.size)
    clear = (seen > 0) & (2 * seen >= members.count)
    reflectance = np.zeros((members.count.size, len(SENTINEL2_BANDS)), np.float32)

    def mean(values: Float32) -> Float32:
        chosen = values.ravel()[members.pixel[usable]]
        return np.asarray(np.bincount(field, chosen, members.count.size) / np.maximum(seen, 1), np.float32)

    if clear.any():
        for index, band in enumerate(SENTINEL2_BANDS):
            stored = _read(folder / f"{band}.tif")
            if band not in BANDS_10M:
                stored = _to_10m(stored, shape, offset_20m(optics.land.grid))
            reflectance[:, index] = (mean(stored.astype(np.float32)) - offset) / 10_000
    layers = Sky(mean(sky.cloud), mean(sky.cirrus), mean(sky.shadow), mean(sky.veil), sky.brightness)
    return Observation(clear, reflectance, layers)


def observe_season(
    folders: list[Path], acquisitions: list[Acquisition], ranks: NDArray[np.float64], members: Members, optics: Optics
) -> list[Observation]:
    """Read the newest product of each acquisition of a season."""
    return [
        observe(folder, acquisition.products[-1].offset, members, optics, optics.sky(acquisition, float(rank)))
        for folder, acquisition, rank in zip(folders, acquisitions, ranks, strict=True)
    ]


def monthly_medians(values: Float32, period: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median over the valid dates of each period.

    Args:
        values: ``(parcel, date, band)``, NaN where not seen.
        period: Period of each date, 0-based.

    Returns:
        ``(parcel, period, band)``; NaN where a period has no value.
    """
    result = np.full((values.shape[0], int(period.max()) + 1, values.shape[2]), np.nan)
    for index in range(result.shape[1]):
        part = np.sort(values[:, period == index], axis=1)  # NaN last
        count = (~np.isnan(part[:, :, :1])).sum(axis=1, keepdims=True)
        if part.shape[1]:
            low = np.take_along_axis(part, np.maximum((count - 1) // 2, 0), axis=1)
            high = np.take_along_axis(part, np.maximum(count // 2 - (count == 0), 0), axis=1)
            result[:, index] = np.where(count[:, 0] > 0, (low + high)[:, 0] / 2, np.nan)
    return result


def _read(path: Path) -> NDArray[np.uint16]:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read(1))


def _to_10m(values: NDArray[np.uint16], shape: tuple[int, int], offset: tuple[int, int]) -> NDArray[np.uint16]:
    """Repeat 20 m pixels on the 10 m grid."""
    repeated = values.repeat(2, axis=0).repeat(2, axis=1)
    return repeated[-offset[0] : shape[0] - offset[0], -offset[1] : shape[1] - offset[1]]
