"""The pixel sets of parcels: all pixels that may be learnt from, parcel after parcel in flat arrays."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.sections import SampleSet
from cropflow.errors import CropflowError
from cropflow.files.atomic import write_json
from cropflow.files.tables import write_table
from cropflow.samples.arrays import SensorArrays, create_arrays, flush
from cropflow.samples.histories import read_history
from cropflow.samples.kernels.gather import gather
from cropflow.samples.labels import BACKGROUND
from cropflow.samples.place import Place, SiteLayers, megabytes, read_window
from cropflow.samples.sources import SiteComposites
from cropflow.samples.tallies import DateTally, check_any, tally_parcels, tell_dates

log = logging.getLogger(__name__)

COLUMNS = {
    "site": "str", "index": "uint32", "parcel_id": "str", "crop": "uint16", "fold": "uint8",
    "start": "int64", "pixels": "int64",
    "perimeter_m": "float32", "fill_ratio": "float32", "perimeter_area_ratio": "float32",
}  # fmt: skip
SQUARE_M_PER_HA = 10_000


@dataclass(frozen=True)
class Order:
    """The pixels of a site, parcel by parcel.

    Attributes:
        index: Index of each parcel that has a pixel, ascending, int64, ``(n,)``.
        pixels: Its pixels, int64, ``(n,)``.
        fill_ratio: Its pixels over those of their bounding box, in (0, 1], float64, ``(n,)``.
        position: Place of each pixel in the order of parcels, within a parcel by row and column; -1 where no parcel
            is, int64, ``(y, x)``.
    """

    index: NDArray[np.int64]
    pixels: NDArray[np.int64]
    fill_ratio: NDArray[np.float64]
    position: NDArray[np.int64]

    @property
    def start(self) -> NDArray[np.int64]:
        """Place of the first pixel of each parcel, ``(n,)``."""
        return np.cumsum(self.pixels) - self.pixels


def order_pixels(parcels: NDArray[np.uint32]) -> Order:
    """Sort the pixels of a site by their parcel.

    Args:
        parcels: Index of the parcel, ``(y, x)``; 0 where a pixel is none of a sample.
    """
    where = np.flatnonzero(parcels)
    own = parcels.ravel()[where]
    # Stable: the pixels of a parcel stay in the order of rows and columns.
    where = where[np.argsort(own, kind="stable")]
    position = np.full(parcels.size, -1, dtype=np.int64)
    position[where] = np.arange(len(where))
    index, first, pixels = np.unique(parcels.ravel()[where], return_index=True, return_counts=True)
    box = np.ones(len(index), dtype=np.int64)
    for along in np.divmod(where, parcels.shape[1]) if len(where) else ():
        box *= np.maximum.reduceat(along, first) - np.minimum.reduceat(along, first) + 1
    return Order(index.astype(np.int64), pixels, pixels / box, position.reshape(parcels.shape))


def write_pixel_sets(place: Place, folder: Path, history: Path | None = None) -> dict[str, Any]:
    """Write the pixel sets of a region and season.

    Args:
        place: The samples and their composites.
        folder: Existing, empty folder.
        history: History of the register's season, where the set asks for it.

    Returns:
        What ``pixel_sets.json`` says.

    Raises:
        CropflowError: If no parcel has a pixel to learn from, or the history does not fit.
        RuntimeError: If counts do not add up, or a feature is out of its range.
    """
    composites, settings = place.composites, place.settings
    # Sites are read twice, and none is kept: memory does not grow with their number.
    table = describe_samples(place.parcels, ((site, _order_site(place.layers(site))) for site in composites.sites))
    counts = _account(place, table)
    check_any(counts["parcels"])
    total = int(table["pixels"].sum())
    log.info("%d parcels of %d pixels take %.1f MB", len(table), total, megabytes(composites.layouts, total))
    arrays = create_arrays(folder, composites.layouts, len(table), items=total)
    tally = DateTally(composites.layouts, len(table))
    sample = pixel = 0
    for site in composites.sites:
        layers = place.layers(site)
        order = _order_site(layers)
        samples = slice(sample, sample + len(order.index))
        frames = extract(composites.sites[site], layers, order, settings, arrays, pixel)
        for sensor, found in frames.items():
            arrays[sensor].date(samples, composites.sites[site].dates[sensor])
            tally.dates[sensor][samples] = found.sum(axis=1)
        sample, pixel = samples.stop, pixel + int(order.pixels.sum())
        log.info("site %s: %d parcels, %d pixels", site, len(order.index), int(order.pixels.sum()))
    flush(arrays.values())
    about = {
        **place.about(),
        "samples": len(table),
        "pixels": total,
        "lags": settings.history,
        "history_crops": [],
        **counts,
        "dates": tally.told(),
    }
    tell_dates("parcels", len(table), about["dates"])
    if settings.history:
        about["history_crops"] = _write_history(place, table, history, folder / "history.npy")
    write_table(folder / "parcels.parquet", table)
    write_json(folder / "pixel_sets.json", about)
    return about


def _order_site(layers: SiteLayers) -> Order:
    return order_pixels(np.where(layers.usable, layers.parcels, 0))


def describe_samples(parcels: pandas.DataFrame, orders: Iterable[tuple[str, Order]]) -> pandas.DataFrame:
    """One row per sample, in the order of sites and parcels.

    Args:
        parcels: ``parcels.parquet`` of the samples.
        orders: Sites and their pixels, each taken once.

    Returns:
        The columns of ``COLUMNS``: ``perimeter_m`` of the part of the parcel that lies in the site, holes included, and
        over its area, 1/m.

    Raises:
        RuntimeError: If a feature is out of its range.
    """
    found = pandas.concat(
        [
            pandas.DataFrame(
                {"site": site, "index": order.index, "set_pixels": order.pixels, "fill_ratio": order.fill_ratio}
            )
            for site, order in orders
        ]
    )
    table = found.merge(parcels, on=["site", "index"], how="left", validate="one_to_one")
    table["pixels"] = table["set_pixels"]
    table["start"] = table["pixels"].cumsum() - table["pixels"]
    area_m2 = table["site_area_ha"] * SQUARE_M_PER_HA
    table["perimeter_area_ratio"] = table["perimeter_m"] / area_m2
    # No outline encloses more than a circle does; metres of one zone and hectares of the ellipsoid differ by 0.1 %.
    roundness = 4 * math.pi * area_m2 / table["perimeter_m"] ** 2
    if not (roundness.between(0, 1.01).all() and table["fill_ratio"].between(0, 1, inclusive="right").all()):
        raise RuntimeError(
            f"{len(table)} parcels are up to {roundness.max()} times as large as a circle of their perimeter, and fill "
            f"{table['fill_ratio'].min()} to {table['fill_ratio'].max()} of their boxes"
        )
    return table[list(COLUMNS)].astype(COLUMNS)


def _account(place: Place, table: pandas.DataFrame) -> dict[str, Any]:
    """Where parcels and pixels went; both add up to what the summary of the samples says."""
    reasons = tally_parcels(place.parcels, place.settings.background)
    usable, total = int(place.counts["pixels"]["reasons"]["usable"]), int(table["pixels"].sum())
    outside = usable - int(place.parcels["usable_pixels"].sum())
    if reasons["usable"] != len(table) or total + outside != usable:
        raise RuntimeError(
            f"{len(table)} parcels hold {total} pixels and {outside} lie outside; the samples count {usable} usable "
            f"pixels and {reasons}"
        )
    per_site = table["site"].value_counts()
    return {
        "sites": {site: int(per_site.get(site, 0)) for site in place.composites.sites},
        "parcels": reasons,
        "usable_pixels_outside_parcels": outside,
    }


def extract(
    site: SiteComposites,
    layers: SiteLayers,
    order: Order,
    settings: SampleSet,
    arrays: Mapping[str, SensorArrays],
    first: int = 0,
) -> dict[str, NDArray[np.bool_]]:
    """Write the series of the pixels of a site, in one pass over its composites.

    Args:
        site: The composites of the site.
        layers: Its layers.
        order: Where its pixels go.
        settings: The sample set.
        arrays: Sensor -> its arrays.
        first: Place of the site's first pixel in the arrays.

    Returns:
        Sensor -> True where a parcel has a value on a date, bool, ``(parcel, T)``.
    """
    last, start = first + int(order.pixels.sum()), order.start
    frames = {sensor: np.zeros((len(start), len(days)), dtype=np.bool_) for sensor, days in site.dates.items()}
    for sensor, days in site.dates.items():
        arrays[sensor].clear(slice(first, last), len(days))
    for rows, columns in site.blocks():
        to = order.position[rows, columns].ravel()
        pixels = np.flatnonzero(to >= 0)
        if not len(pixels):
            continue
        # In ascending order, so that the pixels of a parcel are written side by side.
        pixels = pixels[np.argsort(to[pixels])]
        to = to[pixels]
        parcel = np.searchsorted(start, to, side="right") - 1
        runs = np.flatnonzero(np.diff(parcel, prepend=-1))
        window = read_window(site, layers, settings, rows, columns)
        for sensor, found in frames.items():
            for name, array in arrays[sensor].series.items():
                gather(window.part(name, sensor), pixels, array, first + to)
            valid = window.valid(sensor).reshape(len(found[0]), -1)[:, pixels]
            found[parcel[runs]] |= np.logical_or.reduceat(valid, runs, axis=1).T
    return frames


def _write_history(place: Place, table: pandas.DataFrame, history: Path | None, path: Path) -> list[int]:
    """Write ``history.npy``; returns the crops of its columns but the last."""
    from cropflow.labels.legend import read_legend

    settings = place.settings
    if history is None:
        raise CropflowError(
            f"sets.<name>.history is {settings.history} and --history is missing; expected the history of the parcels."
        )
    crops: Sequence[int] = [*([BACKGROUND] if settings.background else []), *read_legend(settings.legend).ids]
    read_history(history, table["parcel_id"].tolist(), crops, settings.history, path)
    return [int(crop) for crop in crops]
