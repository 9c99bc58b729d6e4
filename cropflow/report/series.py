"""What the composites show: clear observations, NDVI per crop, true-colour strip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.cubes import open_store
from cropflow.files.rasters import read_raster
from cropflow.report.images import as_jpeg, true_colour

# Pixels per crop and site from which quartiles are taken: enough for a stable curve, few enough for a quick page.
MOST_PIXELS = 4000
STRIP_SIDE = 240

Quartiles = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Observations:
    """How often the ground was seen.

    Attributes:
        periods: ISO start dates.
        quartiles: Lower quartile, median and upper quartile of the clear observations, ``(3, period)``.
        filled: Share of pixels interpolated, ``(period,)``, [0, 1].
        empty: Share of pixels without a value, ``(period,)``, [0, 1].
        pixels: Pixels of all sites.
    """

    periods: list[str]
    quartiles: NDArray[np.float64]
    filled: NDArray[np.float64]
    empty: NDArray[np.float64]
    pixels: int


@dataclass(frozen=True)
class NdviCurve:
    """The NDVI of one crop over the season.

    Attributes:
        crop: Id of the legend.
        quartiles: Lower quartile, median, upper quartile, each ``(period,)``, NaN where unknown.
        pixels: Labelled pixels, before any draw.
    """

    crop: int
    quartiles: Quartiles
    pixels: int


@dataclass(frozen=True)
class Strip:
    """The season of one site in true colour.

    Attributes:
        site: The site shown.
        sites: Sites of the store.
        pictures: Start date and picture of each period; empty where the series lacks a visible band.
    """

    site: str
    sites: int
    pictures: tuple[tuple[str, str], ...]


def site_groups(store: Path) -> dict[str, zarr.Group]:
    """Sites of a store, sorted by name.

    Raises:
        CropflowError: If it holds none.
    """
    root = open_store(store)
    # Not root.groups(): the workflow leaves a file of its own beside the sites, of which zarr warns.
    sites = sorted(path.parent.name for path in store.glob("*/zarr.json"))
    groups = {site: found for site in sites if isinstance(found := root[site], zarr.Group)}
    if not groups:
        raise CropflowError(f"{store} holds no site; expected composites. Run the rule that makes it.")
    return groups


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise TypeError(f"{name} is no array")
    return found


def _names(group: zarr.Group, key: str) -> list[str]:
    attributes: dict[str, Any] = dict(group.attrs.asdict())
    return [str(name) for name in attributes[key]]


def periods_of(store: Path) -> list[str]:
    """ISO start dates of a store's periods."""
    return _names(next(iter(site_groups(store).values())), "periods")


def observations(store: Path) -> Observations:
    """Count clear observations, filled and empty pixels over all sites of a store."""
    counts, filled, empty = [], [], []
    for group in site_groups(store).values():
        seen = np.asarray(_array(group, "observations")[:])
        made = np.asarray(_array(group, "filled")[:])
        counts.append(seen.reshape(len(seen), -1))
        filled.append(made.reshape(len(made), -1))
        empty.append(((seen == 0) & ~made).reshape(len(made), -1))
    stacked = np.concatenate(counts, axis=1)
    return Observations(
        periods_of(store),
        np.percentile(stacked, [25, 50, 75], axis=1),
        np.concatenate(filled, axis=1).mean(axis=1),
        np.concatenate(empty, axis=1).mean(axis=1),
        stacked.shape[1],
    )


def ndvi(red: NDArray[np.uint16], infrared: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Normalised difference of infrared and red, [-1, 1]; NaN where either is nodata (0)."""
    low, high = red.astype(np.float32), infrared.astype(np.float32)
    known = (red > 0) & (infrared > 0)
    result = np.full(low.shape, np.nan, dtype=np.float32)
    np.divide(high - low, high + low, out=result, where=known)
    return result


def ndvi_by_crop(
    stores: Sequence[Path], samples: Sequence[Path], names: Mapping[int, str], seed: int = 0
) -> list[NdviCurve]:
    """Quartiles of NDVI per crop and period, from labelled pixels of all places.

    Args:
        stores: Composites per place.
        samples: Sample folder per place, in the same order.
        names: Crop id -> name; other ids are left out.
        seed: Seed of the draw where a crop has very many pixels.

    Returns:
        Curves, crops with most pixels first. Empty where the series lacks B04 or B08, or the places differ in the
        months of their periods.
    """
    # Several seasons of one calendar share a curve; other calendars do not.
    if len({tuple(period[5:] for period in periods_of(store)) for store in stores}) != 1:
        return []
    found: dict[int, list[NDArray[np.float32]]] = {}
    sizes: dict[int, int] = {}
    generator = np.random.default_rng(seed)
    for store, folder in zip(stores, samples, strict=True):
        for site, group in site_groups(store).items():
            bands = _names(group, "bands")
            if not {"B04", "B08"} <= set(bands):
                return []
            crops = read_raster(folder / site / "crops.tif")[0][0]
            values = _array(group, "reflectance")
            if crops.shape != values.shape[2:]:
                raise CropflowError(
                    f"{folder / site}/crops.tif has {crops.shape} pixels, the composites {values.shape[2:]}; "
                    "expected one grid. Build the samples again."
                )
            red, infrared = (np.asarray(values[:, bands.index(band)]) for band in ("B04", "B08"))
            for crop in sorted(set(np.unique(crops).tolist()) & set(names)):
                pixels = np.flatnonzero(crops == crop)
                sizes[crop] = sizes.get(crop, 0) + len(pixels)
                if len(pixels) > MOST_PIXELS:
                    pixels = np.sort(generator.choice(pixels, MOST_PIXELS, replace=False))
                flat = (layer.reshape(len(layer), -1)[:, pixels] for layer in (red, infrared))
                found.setdefault(crop, []).append(ndvi(*flat))
    order = sorted(found, key=lambda crop: (-sizes[crop], crop))
    return [NdviCurve(crop, _quartiles(np.concatenate(found[crop], axis=1)), sizes[crop]) for crop in order]


def _quartiles(series: NDArray[np.float32]) -> Quartiles:
    seen = ~np.isnan(series).all(axis=1)
    quartiles = np.full((3, len(series)), np.nan, dtype=np.float32)
    if seen.any():
        quartiles[:, seen] = np.nanpercentile(series[seen], [25, 50, 75], axis=1)
    return quartiles[0], quartiles[1], quartiles[2]


def true_colour_strip(store: Path) -> Strip:
    """Pictures of each period of the first site."""
    groups = site_groups(store)
    site, group = next(iter(groups.items()))
    bands = _names(group, "bands")
    if not {"B02", "B03", "B04"} <= set(bands):
        return Strip(site, len(groups), ())
    order = [bands.index(band) for band in ("B04", "B03", "B02")]
    values = _array(group, "reflectance")
    pictures = [
        (period, as_jpeg(true_colour(np.asarray(values[index])[order]), STRIP_SIDE))
        for index, period in enumerate(periods_of(store))
    ]
    return Strip(site, len(groups), tuple(pictures))
