"""What the composites show: clear observations, NDVI per crop, true-colour strip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.files.cubes import open_store
from cropflow.files.rasters import read_raster
from cropflow.report.images import as_png, true_colour

# Pixels per crop from which quartiles are taken: enough for a stable curve, few enough for a quick page.
MOST_PIXELS = 4000
STRIP_SIDE = 150


@dataclass(frozen=True)
class Observations:
    """How often the ground was seen.

    Attributes:
        periods: ISO start dates.
        quartiles: Lower quartile, median and upper quartile of the clear observations, ``(3, period)``.
        filled: Share of pixels interpolated, ``(period,)``, [0, 1].
        empty: Share of pixels without a value, ``(period,)``, [0, 1].
    """

    periods: list[str]
    quartiles: NDArray[np.float64]
    filled: NDArray[np.float64]
    empty: NDArray[np.float64]


def site_groups(store: Path) -> dict[str, zarr.Group]:
    """Sites of a store, sorted by name."""
    root = open_store(store)
    return {name: group for name, group in sorted(root.groups())}


def _array(group: zarr.Group, name: str) -> zarr.Array:
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise TypeError(f"{name} is no array")
    return found


def periods_of(store: Path) -> list[str]:
    """ISO start dates of a store's periods."""
    group = next(iter(site_groups(store).values()))
    return [str(period) for period in group.attrs.asdict()["periods"]]  # type: ignore[union-attr]


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
    )


def ndvi_by_crop(
    stores: Sequence[Path], samples: Sequence[Path], names: Mapping[int, str], seed: int = 0
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Quartiles of NDVI per crop and period, from labelled pixels of all places.

    Args:
        stores: Composites per place.
        samples: Sample folder per place, in the same order.
        names: Crop id -> name; other ids are left out.
        seed: Seed of the draw where a crop has very many pixels.

    Returns:
        Crop name -> lower quartile, median, upper quartile, each ``(period,)``, NaN where unknown; crops with most
        pixels first. Empty where the series lacks B04 or B08, or the places differ in their periods.
    """
    found: dict[int, list[NDArray[np.float32]]] = {}
    sizes: dict[int, int] = {}
    if len({tuple(periods_of(store)) for store in stores}) != 1:
        return {}
    generator = np.random.default_rng(seed)
    for store, folder in zip(stores, samples, strict=True):
        for site, group in site_groups(store).items():
            bands = [str(band) for band in group.attrs.asdict()["bands"]]  # type: ignore[union-attr]
            if not {"B04", "B08"} <= set(bands):
                return {}
            crops = read_raster(folder / site / "crops.tif")[0][0]
            values = _array(group, "reflectance")
            red = np.asarray(values[:, bands.index("B04")], dtype=np.float32)
            infrared = np.asarray(values[:, bands.index("B08")], dtype=np.float32)
            total = red + infrared
            ndvi = np.divide(infrared - red, total, out=np.full_like(total, np.nan), where=(red > 0) & (infrared > 0))
            for crop in np.unique(crops):
                if int(crop) not in names:
                    continue
                pixels = np.flatnonzero(crops == crop)
                sizes[int(crop)] = sizes.get(int(crop), 0) + len(pixels)
                if len(pixels) > MOST_PIXELS:
                    pixels = generator.choice(pixels, MOST_PIXELS, replace=False)
                found.setdefault(int(crop), []).append(ndvi.reshape(len(ndvi), -1)[:, pixels])
    curves = {}
    for crop in sorted(found, key=lambda crop: -sizes[crop]):
        series = np.concatenate(found[crop], axis=1)
        seen = ~np.isnan(series).all(axis=1)
        quartiles = np.full((3, len(series)), np.nan, dtype=np.float32)
        if seen.any():
            quartiles[:, seen] = np.nanpercentile(series[seen], [25, 50, 75], axis=1)
        curves[names[crop]] = (quartiles[0], quartiles[1], quartiles[2])
    return curves


def true_colour_strip(store: Path) -> list[tuple[str, str]]:
    """Month and picture of each period of the first site; empty where the series lacks a visible band."""
    group = next(iter(site_groups(store).values()))
    attributes = group.attrs.asdict()
    bands = [str(band) for band in attributes["bands"]]  # type: ignore[union-attr]
    if not {"B02", "B03", "B04"} <= set(bands):
        return []
    order = [bands.index(band) for band in ("B04", "B03", "B02")]
    values = _array(group, "reflectance")
    return [
        (period[:7], as_png(true_colour(np.asarray(values[index])[order]), STRIP_SIDE))
        for index, period in enumerate(periods_of(store))
    ]
