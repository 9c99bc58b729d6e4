"""Fixed-size patches, cut from the sites into arrays that are mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from cropflow.samples.labels import IGNORE, NO_FOLD
from cropflow.samples.layers import Layers
from cropflow.samples.sensors import Layout
from cropflow.samples.sources import STRIP, SiteComposites


@dataclass(frozen=True)
class Corner:
    """Where a patch lies: its upper-left pixel in its site."""

    row: int
    column: int


@dataclass(frozen=True)
class LabelLayers:
    """What patches hold beside the composites; arrays ``(y, x)``.

    Attributes:
        crops: Crop id, uint16; 65535 where a pixel is not to be learnt from.
        folds: Fold in which the pixel may be used, uint8; 255 = none.
        parcels: Parcel index, uint32; 0 = none.
    """

    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    parcels: NDArray[np.uint32]


def draw_patches(layers: Layers, size: int) -> pandas.DataFrame:
    """Tile a site from its origin and keep the patches that hold a usable pixel.

    Args:
        layers: The layers of the site.
        size: Rows and columns of a patch.

    Returns:
        One row per patch in the order of rows and columns: ``row`` and ``column`` of its upper-left pixel,
        ``labelled_share`` (usable pixels over all of the patch, padding included), and ``count_<crop>``, its usable
        pixels of each crop that the site has.
    """
    usable, truth = layers.usable, layers.truth
    crops = [int(crop) for crop in np.unique(truth[usable])]
    rows: list[dict[str, float]] = []
    for corner, (y, x) in _tiles(layers.grid.shape, size):
        inside = usable[y, x]
        number = int(inside.sum())
        if number == 0:
            continue
        counts = np.bincount(truth[y, x][inside], minlength=65536)
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


class PatchArrays:
    """The arrays of all patches in a folder, written patch by patch.

    Per sensor ``<sensor>/values.npy (N, T, C, P, P)`` in its dtype and unit, ``<sensor>/observations.npy`` and
    ``<sensor>/filled.npy (N, T, P, P)`` uint8 and bool; ``crops.npy``, ``folds.npy`` and ``parcels.npy (N, P, P)``
    uint16, uint8 and uint32. What lies beyond a site is nodata: the sensor's in values, 65535 in crops, 255 in folds,
    0 elsewhere.
    """

    def __init__(self, folder: Path, n_patches: int, layouts: Sequence[Layout], size: int) -> None:
        """Create the arrays.

        Args:
            folder: Existing folder.
            n_patches: N.
            layouts: Axes of each sensor's series, T and C.
            size: P, rows and columns of a patch.
        """
        self.size = size
        self.next = 0
        self.layouts = tuple(layouts)
        patch = (n_patches, size, size)
        self.labels = {
            name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=patch)
            for name, dtype in (("crops", "uint16"), ("folds", "uint8"), ("parcels", "uint32"))
        }
        self.labels["crops"][:] = IGNORE
        self.labels["folds"][:] = NO_FOLD
        self.series = {
            layout.sensor: _create_series(folder / layout.sensor, n_patches, layout, size) for layout in layouts
        }

    def add_site(self, patches: pandas.DataFrame, composites: SiteComposites, layers: LabelLayers) -> None:
        """Cut the patches of a site, in the order of its table.

        Args:
            patches: ``row`` and ``column`` of the upper-left pixels, ascending.
            composites: The composites of the site.
            layers: The label layers of the site.
        """
        height, width = layers.crops.shape
        # About the rows of a chunk, so that each chunk is unpacked once or twice.
        rows_at_once = max(1, STRIP // self.size) * self.size
        strip_of = patches["row"] // rows_at_once
        for strip, some in patches.groupby(strip_of, sort=True):
            top = int(str(strip)) * rows_at_once
            rows = slice(top, top + rows_at_once)
            read = {"values": composites.window(rows).values}
            read |= {name: composites.counts(name, rows) for name in ("observations", "filled")}
            for row, column in zip(some["row"], some["column"], strict=True):
                down, right = min(self.size, height - row), min(self.size, width - column)
                within = slice(row - top, row - top + down), slice(column, column + right)
                self._add_series(read, within, (down, right))
                here = slice(row, row + down), slice(column, column + right)
                for name, layer in (("crops", layers.crops), ("folds", layers.folds), ("parcels", layers.parcels)):
                    self.labels[name][self.next, :down, :right] = layer[here]
                self.next += 1

    def _add_series(
        self, read: Mapping[str, Mapping[str, NDArray[Any]]], within: tuple[slice, slice], shape: tuple[int, int]
    ) -> None:
        down, right = shape
        for layout in self.layouts:
            arrays = self.series[layout.sensor]
            if shape != (self.size, self.size):
                arrays["values"][self.next] = layout.kind.nodata
            for name, array in arrays.items():
                array[self.next, ..., :down, :right] = read[name][layout.sensor][..., *within]

    def close(self) -> None:
        """Flush the arrays to disk.

        Raises:
            RuntimeError: If fewer patches were added than were announced.
        """
        if self.next != len(self.labels["crops"]):
            raise RuntimeError(f"{self.next} patches were cut; {len(self.labels['crops'])} were announced")
        for arrays in (self.labels, *self.series.values()):
            for array in arrays.values():
                array.flush()


def _create_series(folder: Path, n_patches: int, layout: Layout, size: int) -> dict[str, np.memmap[Any, Any]]:
    folder.mkdir()
    counts = (n_patches, len(layout.periods), size, size)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "values": (layout.kind.dtype, (n_patches, len(layout.periods), len(layout.bands), size, size)),
        "observations": ("uint8", counts),
        "filled": ("bool", counts),
    }
    return {
        name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape)
        for name, (dtype, shape) in shapes.items()
    }
