"""Fixed-size patches, cut from the sites into arrays that are mapped into memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from cropflow.files.atomic import write_json
from cropflow.files.tables import write_table
from cropflow.samples.arrays import COUNTS, create_array, create_arrays, flush
from cropflow.samples.labels import IGNORE, NO_FOLD
from cropflow.samples.place import Place, SiteLayers, Window, has_target, megabytes, read_window
from cropflow.samples.sources import STRIP
from cropflow.samples.tallies import DateTally, tell_dates

log = logging.getLogger(__name__)

_COUNTED = 256  # patches whose targets are counted at a time


@dataclass(frozen=True)
class Corner:
    """Where a patch lies: its upper-left pixel in its site."""

    row: int
    column: int


def draw_patches(layers: SiteLayers, size: int) -> pandas.DataFrame:
    """Tile a site from its origin and keep the patches that hold a usable pixel.

    Args:
        layers: The layers of the site.
        size: Rows and columns of a patch.

    Returns:
        One row per patch in the order of rows and columns: ``row`` and ``column`` of its upper-left pixel,
        ``labelled_share`` (usable pixels over all of the patch, padding included), and ``count_<crop>``, its usable
        pixels of each crop that the site has.
    """
    usable = layers.usable
    crops = [int(crop) for crop in np.unique(layers.crops[usable])]
    rows: list[dict[str, float]] = []
    for corner, (y, x) in _tiles(usable.shape, size):
        inside = usable[y, x]
        number = int(inside.sum())
        if number == 0:
            continue
        counts = np.bincount(layers.crops[y, x][inside], minlength=65536)
        rows.append(
            {
                "row": corner.row,
                "column": corner.column,
                "labelled_share": number / size**2,
                **{f"count_{crop}": int(counts[crop]) for crop in crops},
            }
        )
    return pandas.DataFrame(rows, columns=["row", "column", "labelled_share", *(f"count_{crop}" for crop in crops)])


def _tiles(shape: tuple[int, int], size: int) -> Iterator[tuple[Corner, tuple[slice, slice]]]:
    for row in range(0, shape[0], size):
        for column in range(0, shape[1], size):
            yield Corner(row, column), (slice(row, row + size), slice(column, column + size))


def build_index(found: Mapping[str, pandas.DataFrame]) -> pandas.DataFrame:
    """Join the patches of all sites into the index of the arrays.

    Args:
        found: Site -> table of :func:`draw_patches`.

    Returns:
        ``site``, ``row``, ``column``, ``labelled_share`` and ``count_<crop>`` in ascending order of crops; row i
        describes patch i.
    """
    tables = [table.assign(site=site) for site, table in found.items() if len(table)]
    if not tables:
        return pandas.DataFrame(columns=["site", "row", "column", "labelled_share"])
    index = pandas.concat(tables, ignore_index=True)
    counts = sorted((name for name in index.columns if name.startswith("count_")), key=lambda name: int(name[6:]))
    index[counts] = index[counts].fillna(0).astype("int64")
    return index.astype({"row": "int64", "column": "int64"})[["site", "row", "column", "labelled_share", *counts]]


def write_patches(place: Place, folder: Path) -> dict[str, Any]:
    """Cut the patches of a region and season.

    Args:
        place: The samples and their composites.
        folder: Existing, empty folder.

    Returns:
        What ``patches.json`` says.

    Raises:
        RuntimeError: If the patches do not hold the usable pixels of the samples.
    """
    settings, sites = place.settings, place.composites.sites
    # Sites are read twice, and none is kept: memory does not grow with their number.
    index = build_index({site: draw_patches(place.layers(site), settings.patch_size) for site in sites})
    size = megabytes(place.composites.layouts, len(index) * settings.patch_size**2, len(COUNTS))
    log.info("%d patches of %d sites take %.1f MB", len(index), len(sites), size)
    arrays = PatchArrays(folder, len(index), place)
    for site in sites:
        arrays.add_site(site, index[index["site"] == site], place.layers(site))
    arrays.close()
    crops, folds = arrays.labels["crops"], arrays.labels["folds"]
    chunks = (slice(start, start + _COUNTED) for start in range(0, len(index), _COUNTED))
    cut = sum(int(has_target(crops[chunk], folds[chunk], settings.background).sum()) for chunk in chunks)
    usable = place.counts["pixels"]["reasons"]["usable"]
    if cut != usable:
        raise RuntimeError(f"patches hold {cut} usable pixels, the samples {usable}")
    write_table(folder / "index.parquet", index)
    per_site = index["site"].value_counts()
    about = {
        **place.about(),
        "patch_size": settings.patch_size,
        "patches": len(index),
        "pixels": cut,
        "sites": {site: int(per_site.get(site, 0)) for site in sites},
        "dates": arrays.tally.told(),
    }
    tell_dates("patches", len(index), about["dates"])
    write_json(folder / "patches.json", about)
    return about


class PatchArrays:
    """The arrays of all patches in a folder, written patch by patch.

    Per sensor ``<sensor>/values.npy (N, T, C, P, P)`` in its dtype and unit, ``<sensor>/observations.npy`` and
    ``<sensor>/filled.npy (N, T, P, P)`` uint8 and bool, ``<sensor>/dates.npy (N, T)`` int16; ``crops.npy``,
    ``folds.npy`` and ``parcels.npy (N, P, P)`` uint16, uint8 and uint32. What lies beyond a site or its last date is
    nodata: the sensor's in values, -32768 in dates, 65535 in crops, 255 in folds, 0 elsewhere.
    """

    def __init__(self, folder: Path, n_patches: int, place: Place) -> None:
        """Create the arrays.

        Args:
            folder: Existing folder.
            n_patches: N, at least one.
            place: What patches are cut from; P is its set's ``patch_size``.
        """
        self.place, self.size, self.next = place, place.settings.patch_size, 0
        layouts, space = place.composites.layouts, (self.size, self.size)
        self.labels = {
            name: create_array(folder / f"{name}.npy", dtype, (n_patches, *space))
            for name, dtype in (("crops", "uint16"), ("folds", "uint8"), ("parcels", "uint32"))
        }
        self.labels["crops"][:] = IGNORE
        self.labels["folds"][:] = NO_FOLD
        self.series = create_arrays(folder, layouts, n_patches, space=space, counts=tuple(COUNTS))
        self.tally = DateTally(layouts, n_patches)

    def add_site(self, site: str, patches: pandas.DataFrame, layers: SiteLayers) -> None:
        """Cut the patches of a site, in the order of its table.

        Args:
            site: Name of the site.
            patches: ``row`` and ``column`` of the upper-left pixels, ascending.
            layers: The layers of the site.
        """
        composites = self.place.composites.sites[site]
        height, width = layers.crops.shape
        # About the rows of a chunk, so that each chunk is unpacked once or twice.
        rows_at_once = max(1, STRIP // self.size) * self.size
        for strip, some in patches.groupby(patches["row"] // rows_at_once, sort=True):
            top = int(str(strip)) * rows_at_once
            window = read_window(composites, layers, self.place.settings, slice(top, top + rows_at_once))
            for row, column in zip(some["row"], some["column"], strict=True):
                down, right = min(self.size, height - row), min(self.size, width - column)
                within = slice(row - top, row - top + down), slice(column, column + right)
                self._add_series(window, within, (down, right))
                here = slice(row, row + down), slice(column, column + right)
                for name, array in self.labels.items():
                    array[self.next, :down, :right] = getattr(layers, name)[here]
                for sensor, days in composites.dates.items():
                    self.series[sensor].date(slice(self.next, self.next + 1), days)
                self.next += 1

    def _add_series(self, window: Window, within: tuple[slice, slice], shape: tuple[int, int]) -> None:
        down, right = shape
        for sensor, arrays in self.series.items():
            if arrays.layout.acquisitions or shape != (self.size, self.size):
                arrays.clear(self.next)
            for name, array in arrays.series.items():
                part = window.part(name, sensor)[..., *within]
                array[self.next, : len(part), ..., :down, :right] = part
            self.tally.add(sensor, self.next, window.valid(sensor)[..., *within])

    def close(self) -> None:
        """Flush the arrays to disk.

        Raises:
            RuntimeError: If fewer patches were added than were announced.
        """
        if self.next != len(self.labels["crops"]):
            raise RuntimeError(f"{self.next} patches were cut; {len(self.labels['crops'])} were announced")
        for array in self.labels.values():
            array.flush()
        flush(self.series.values())
