"""The season of a site in pictures, in the colours that its bands allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.report.images import GAMMA, as_jpeg, stretched, true_colour
from cropflow.report.series import array_of, names_of, site_groups
from cropflow.samples.sensors import BACKSCATTER, TITLES

SIDE = 240
# What stands for red, green and blue; reflectance x 10000 shown as none and as full of the colour.
INFRARED = (("B08", "B04", "B03"), ((200, 5000), (200, 2400), (200, 2400)))
SHORT_WAVE = (("B11", "B8A", "B05"), ((400, 4500), (400, 5000), (200, 3000)))
# VV, VH, and their difference, dB x 100.
RADAR_LIMITS = ((-2000, -300), (-2800, -1000), (-1400, -300))


@dataclass(frozen=True)
class Strip:
    """The season of one site.

    Attributes:
        sensor: Whose composites are shown; the last one tried where there is no picture.
        site: The site shown.
        sites: Sites of the store.
        colours: What is shown in which colours; empty without pictures.
        pictures: Start date and picture of each period; empty where no sensor has bands for one.
    """

    sensor: str
    site: str
    sites: int
    colours: str
    pictures: tuple[tuple[str, str], ...]


def season_strip(stores: Mapping[str, Path]) -> Strip:
    """Pictures of each period of the first site: true colour where there is one, else the next best.

    Without the visible bands the infrared stands for red, without bands of 10 m the short-wave infrared; without
    any of these VV, VH and their difference are shown.

    Args:
        stores: Sensor -> composites of a place.
    """
    strip = Strip("", "", 0, "", ())
    for sensor, store in stores.items():
        groups = site_groups(store)
        site, group = next(iter(groups.items()))
        colours, pictures = _optical(group) if sensor == "sentinel2" else _radar(group, TITLES[sensor])
        periods = names_of(group, "periods") if pictures else []
        strip = Strip(sensor, site, len(groups), colours, tuple(zip(periods, pictures, strict=True)))
        if pictures:
            break
    return strip


def _optical(group: zarr.Group) -> tuple[str, list[str]]:
    bands = names_of(group, "bands")
    values = array_of(group, "reflectance")
    if {"B02", "B03", "B04"} <= set(bands):
        order = [bands.index(band) for band in ("B04", "B03", "B02")]
        return "true colour", [_picture(true_colour(period[order])) for period in _periods(values)]
    for chosen, limits in (INFRARED, SHORT_WAVE):
        if set(chosen) <= set(bands):
            order = [bands.index(band) for band in chosen]
            pictures = [_picture(stretched(period[order], limits, 0, GAMMA)) for period in _periods(values)]
            return f"false colour: {', '.join(chosen)} as red, green and blue", pictures
    return "", []


def _radar(group: zarr.Group, title: str) -> tuple[str, list[str]]:
    """The first orbit that has both polarisations, where the composites keep orbits apart."""
    bands = names_of(group, "bands")
    pairs = [(band, "VH" + band[2:]) for band in bands if band.startswith("VV") and "VH" + band[2:] in bands]
    if not pairs:
        return "", []
    order = [bands.index(band) for band in pairs[0]]
    values = array_of(group, BACKSCATTER.array)
    pictures = [_picture(_backscatter(period[order])) for period in _periods(values)]
    return f"{title}: {pairs[0][0]}, {pairs[0][1]} and their difference as red, green and blue", pictures


def _backscatter(values: NDArray[np.int16]) -> NDArray[np.uint8]:
    """VV and VH, dB x 100, ``(2, y, x)``, as a picture."""
    vv, vh = values.astype(np.int32)
    known = (values != BACKSCATTER.nodata).all(axis=0)
    layers = np.where(known, np.stack([vv, vh, vh - vv]), BACKSCATTER.nodata)
    return stretched(layers, RADAR_LIMITS, BACKSCATTER.nodata)


def _periods(values: zarr.Array[Any]) -> Iterator[NDArray[Any]]:
    return (np.asarray(values[index]) for index in range(values.shape[0]))


def _picture(rgb: NDArray[np.uint8]) -> str:
    return as_jpeg(rgb, SIDE)
