"""What the composites show: how often the ground was seen, and the NDVI of each crop."""

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

# Pixels per crop and site from which quartiles are taken: enough for a stable curve, few enough for a quick page.
MOST_PIXELS = 4000

Quartiles = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Observations:
    """How often the ground was seen.

    Attributes:
        periods: ISO start dates.
        quartiles: Lower quartile, median and upper quartile of the valid observations, ``(3, period)``.
        filled: Share of pixels interpolated, ``(period,)``, [0, 1].
        empty: Share of pixels without a value, ``(period,)``, [0, 1].
        pixels: Pixels of all sites.
        scenes: Scenes, passes or overpasses that a period rests on, mean over sites, ``(period,)``.
        left_out: Scenes in the store that no period rests on, counted once per site.
        orbits: Relative orbits that composites of Sentinel-1 rest on.
        hazy: Share of pixels for which only class 7 was left, ``(period,)``, [0, 1]; None where that is not flagged.
    """

    periods: list[str]
    quartiles: NDArray[np.float64]
    filled: NDArray[np.float64]
    empty: NDArray[np.float64]
    pixels: int
    scenes: NDArray[np.float64]
    left_out: int
    orbits: tuple[str, ...] = ()
    hazy: NDArray[np.float64] | None = None


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


def array_of(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of a site."""
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise TypeError(f"{name} is no array")
    return found


def names_of(group: zarr.Group, key: str) -> list[str]:
    """Names of the bands or periods of a site."""
    attributes: dict[str, Any] = dict(group.attrs.asdict())
    return [str(name) for name in attributes[key]]


def periods_of(store: Path) -> list[str]:
    """ISO start dates of a store's periods."""
    return names_of(next(iter(site_groups(store).values())), "periods")


def observations(store: Path) -> Observations:
    """Count valid observations, filled and empty pixels over all sites of a store."""
    counts, filled, empty, hazy = [], [], [], []
    groups = site_groups(store)
    for group in groups.values():
        seen = np.asarray(array_of(group, "observations")[:])
        made = np.asarray(array_of(group, "filled")[:])
        counts.append(seen.reshape(len(seen), -1))
        filled.append(made.reshape(len(made), -1))
        empty.append(((seen == 0) & ~made).reshape(len(made), -1))
        if "hazy" in group:
            hazy.append(np.asarray(array_of(group, "hazy")[:]).reshape(len(made), -1))
    attributes: list[dict[str, Any]] = [group.attrs.asdict() for group in groups.values()]
    stacked = np.concatenate(counts, axis=1)
    return Observations(
        periods_of(store),
        np.percentile(stacked, [25, 50, 75], axis=1),
        np.concatenate(filled, axis=1).mean(axis=1),
        np.concatenate(empty, axis=1).mean(axis=1),
        stacked.shape[1],
        np.mean([one["scenes"] for one in attributes], axis=0),
        sum(int(one["left_out"]) for one in attributes),
        tuple(sorted({str(orbit) for one in attributes for orbit in one.get("relative_orbits", ())})),
        np.concatenate(hazy, axis=1).mean(axis=1) if hazy else None,
    )


def ndvi(red: NDArray[np.uint16], infrared: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Normalised difference of infrared and red, [-1, 1]; NaN where either is nodata (0)."""
    low, high = red.astype(np.float32), infrared.astype(np.float32)
    known = (red > 0) & (infrared > 0)
    result = np.full(low.shape, np.nan, dtype=np.float32)
    np.divide(high - low, high + low, out=result, where=known)
    return result


def same_months(stores: Sequence[Path]) -> bool:
    """Whether stores share a calendar: several seasons of one share a curve, other calendars do not."""
    return len({tuple(period[5:] for period in periods_of(store)) for store in stores}) == 1


def labels_of(samples: Path, site: str, values: zarr.Array[Any]) -> NDArray[np.uint16]:
    """Crops of a site's pixels, on the grid of its composites.

    Args:
        samples: Sample folder of the place.
        site: The site.
        values: Its composites, ``(period, band, y, x)``.

    Raises:
        CropflowError: If they do not lie on one grid.
    """
    crops: NDArray[np.uint16] = read_raster(samples / site / "crops.tif")[0][0]
    if crops.shape != values.shape[2:]:
        raise CropflowError(
            f"{samples / site}/crops.tif has {crops.shape} pixels, the composites {values.shape[2:]}; "
            "expected one grid. Build the samples again."
        )
    return crops


def ndvi_by_crop(
    stores: Sequence[Path], samples: Sequence[Path], names: Mapping[int, str], seed: int = 0
) -> list[NdviCurve]:
    """Quartiles of NDVI per crop and period, from labelled pixels of all places.

    Args:
        stores: Sentinel-2 composites per place; none where the set has no such sensor.
        samples: Sample folder per place, in the same order.
        names: Crop id -> name; other ids are left out.
        seed: Seed of the draw where a crop has very many pixels.

    Returns:
        Curves, crops with most pixels first. Empty where the series lacks B04 or B08, or the places differ in the
        months of their periods.
    """
    if not same_months(stores):
        return []
    found: dict[int, list[NDArray[np.float32]]] = {}
    sizes: dict[int, int] = {}
    generator = np.random.default_rng(seed)
    for store, folder in zip(stores, samples, strict=True):
        for site, group in site_groups(store).items():
            bands = names_of(group, "bands")
            if not {"B04", "B08"} <= set(bands):
                return []
            values = array_of(group, "reflectance")
            crops = labels_of(folder, site, values)
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
