"""The composites that samples are cut from and models are applied to, checked."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.files.cubes import open_store, site_grid
from cropflow.regions.grid import Grid
from cropflow.samples.sensors import INDEX_DTYPE, KINDS, Layout, join_indices
from cropflow.samples.stack import Stack

# Rows that are read at once, and columns where a whole strip would be too much: those of a chunk.
STRIP = 256
WHOLE = slice(None)


@dataclass(frozen=True)
class SiteComposites:
    """The composites of a site, read when they are asked for.

    Attributes:
        layouts: Axes of each sensor's series, in the order of the sensors.
        groups: Sensor -> Zarr group.
        grid: The pixel grid.
        dates: Sensor -> days since the start of the season, the middles of periods or the days of acquisitions, int16,
            ``(T,)``. Acquisitions: this site's own, of which there may be fewer than ``layout.length``.
    """

    layouts: tuple[Layout, ...]
    groups: Mapping[str, zarr.Group]
    grid: Grid
    dates: Mapping[str, NDArray[np.int16]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid.shape

    def window(self, rows: slice, columns: slice = WHOLE) -> Stack:
        """Read the series of some rows and columns, ``(T, C, y, x)`` per sensor."""
        return Stack({layout.sensor: self._values(layout, rows, columns) for layout in self.layouts})

    def counts(self, name: str, rows: slice, columns: slice = WHOLE) -> dict[str, NDArray[Any]]:
        """Read ``observations`` or ``filled`` of some rows and columns: sensor -> ``(T, y, x)``."""
        return {sensor: np.asarray(_array(group, name)[:, rows, columns]) for sensor, group in self.groups.items()}

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Cut the site into windows of a chunk, which holds all dates: each is unpacked once."""
        for top in range(0, self.shape[0], STRIP):
            for left in range(0, self.shape[1], STRIP):
                yield slice(top, min(top + STRIP, self.shape[0])), slice(left, min(left + STRIP, self.shape[1]))

    def dates_with_value(self) -> dict[str, NDArray[np.uint16]]:
        """On how many dates a pixel has a value, observed or filled: sensor -> uint16, ``(y, x)``."""
        found = {layout.sensor: np.empty(self.shape, dtype=np.uint16) for layout in self.layouts}
        for rows, columns in self.blocks():
            seen, filled = self.counts("observations", rows, columns), self.counts("filled", rows, columns)
            for sensor, whole in found.items():
                whole[rows, columns] = ((seen[sensor] > 0) | filled[sensor]).sum(axis=0)
        return found

    def filled_values(self, where: NDArray[np.bool_]) -> int:
        """Count the interpolated periods of chosen pixels, over all sensors.

        Args:
            where: True where a pixel is chosen, bool, ``(y, x)``.
        """
        total = 0
        for top in range(0, self.shape[0], STRIP):
            rows = slice(top, top + STRIP)
            total += sum(int((filled & where[rows]).sum()) for filled in self.counts("filled", rows).values())
        return total

    def _values(self, layout: Layout, rows: slice, columns: slice) -> NDArray[Any]:
        group = self.groups[layout.sensor]
        values: NDArray[Any] = np.asarray(_array(group, layout.kind.array)[:, :, rows, columns])
        if not layout.indices:
            return values
        return join_indices(values, np.asarray(_array(group, "indices")[:, :, rows, columns]))


@dataclass(frozen=True)
class Composites:
    """The composites of a region.

    Attributes:
        layouts: Axes of each sensor's series, in the order of the sensors; those of every site. Of acquisitions the
            sites differ in their dates, and ``longest`` is the place's.
        sites: Site -> its composites.
    """

    layouts: tuple[Layout, ...]
    sites: dict[str, SiteComposites]


def read_composites(stores: Mapping[str, Path], sites: Mapping[str, Grid]) -> Composites:
    """Open the stores of composites of a place.

    Args:
        stores: Sensor -> Zarr store, in the order in which the sensors are wanted.
        sites: Site -> grid.

    Returns:
        The composites of the sites.

    Raises:
        CropflowError: If a site is missing, lies on another grid, lacks an array, has other bands, periods or
            radiometry than the others, acquisitions do not follow each other within their season, or the directions
            of Sentinel-1 differ in radiometry.
    """
    layouts: list[Layout] = []
    groups: dict[str, dict[str, zarr.Group]] = {site: {} for site in sites}
    dates: dict[str, dict[str, NDArray[np.int16]]] = {site: {} for site in sites}
    for sensor, path in stores.items():
        store = open_store(path)
        found: dict[str, Layout] = {}
        axes: set[Layout] = set()
        for site, grid in sites.items():
            group = _site_group(store, site, grid, path)
            found[site] = _site_layout(group, sensor)
            # Months before harvest begin on other dates in other provinces, and are the same months all the same.
            attributes: dict[str, Any] = group.attrs.asdict()
            axes.add(_axis(found[site], attributes))
            where = f"{path}, site {site},"
            _check_arrays(group, found[site], grid, where)
            groups[site][sensor] = group
            dates[site][sensor] = _dates(found[site], attributes, where)
        if len(axes) != 1:
            raise CropflowError(
                f"The sites of {path} have {len(axes)} sets of bands, periods and radiometry; expected one. "
                "Composite the scenes again."
            )
        # The periods of the first site stand for those of all; acquisitions have none.
        longest = max(layout.length for layout in found.values())
        first = next(iter(found.values()))
        layouts.append(replace(first, longest=longest) if first.acquisitions else first)
    _check_radiometry(layouts)
    whole = tuple(layouts)
    return Composites(
        whole, {site: SiteComposites(whole, groups[site], grid, dates[site]) for site, grid in sites.items()}
    )


def _site_group(store: zarr.Group, site: str, grid: Grid, path: Path) -> zarr.Group:
    group = store.get(site)
    if not isinstance(group, zarr.Group):
        raise CropflowError(
            f"{path} lacks the site {site!r}; it has {listing(store.keys())}. Composite the scenes again."
        )
    if site_grid(group) != grid:
        raise CropflowError(
            f"Site {site} of {path} lies on {site_grid(group)}; expected {grid}. Composite the scenes again."
        )
    return group


def _site_layout(group: zarr.Group, sensor: str) -> Layout:
    attributes: dict[str, Any] = group.attrs.asdict()
    indices = tuple(attributes.get("indices", ()))
    bands, periods = (*attributes["bands"], *indices), tuple(attributes["periods"])
    radiometry = str(attributes.get("radiometry", ""))
    if "season_start" in attributes:
        return Layout(sensor, bands, indices, (), radiometry, len(periods))
    return Layout(sensor, bands, indices, periods, radiometry)


def _axis(layout: Layout, attributes: Mapping[str, Any]) -> Layout:
    """A layout as far as all sites of a store share it."""
    if layout.acquisitions:
        return replace(layout, longest=0)
    return replace(layout, periods=tuple(attributes.get("period_names", layout.periods)))


def _dates(layout: Layout, attributes: Mapping[str, Any], where: str) -> NDArray[np.int16]:
    """Days since the start of the season, of one origin for all sensors: never each sensor's own first date."""
    if not layout.acquisitions:
        return np.array(layout.days, dtype=np.int16)
    start = datetime.date.fromisoformat(attributes["season_start"])
    days = np.array([(datetime.date.fromisoformat(day) - start).days for day in attributes["periods"]])
    if (days < 0).any() or (np.diff(days) <= 0).any():
        raise CropflowError(
            f"{where} has the dates {listing(attributes['periods'], 4)} of a season from {start}; expected each once, "
            "in order, within the season. Composite the scenes again."
        )
    return days.astype(np.int16)


def _check_radiometry(layouts: Sequence[Layout]) -> None:
    told = {layout.sensor: layout.radiometry for layout in layouts if layout.radiometry}
    if len(set(told.values())) > 1:
        raise CropflowError(
            f"Sensors of a set mix radiometries: {listing(f'{name} {kind}' for name, kind in told.items())}; expected "
            "one, for the two differ by some dB. Take both directions from one collection of Sentinel-1."
        )


def _check_arrays(group: zarr.Group, layout: Layout, grid: Grid, where: str) -> None:
    kind, periods = KINDS[layout.sensor], layout.length
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        kind.array: (kind.dtype, (periods, len(layout.bands) - len(layout.indices), *grid.shape)),
        "observations": ("uint8", (periods, *grid.shape)),
        "filled": ("bool", (periods, *grid.shape)),
    }
    if layout.indices:
        expected["indices"] = (INDEX_DTYPE, (periods, len(layout.indices), *grid.shape))
    for name, (dtype, shape) in expected.items():
        array = group.get(name)
        if not isinstance(array, zarr.Array):
            found = f"lacks {name!r}"
        elif (str(array.dtype), array.shape) != (dtype, shape):
            found = f"holds {name!r} as {array.dtype} {array.shape}"
        else:
            continue
        raise CropflowError(
            f"{where} {found}; expected {dtype} {shape} of {layout.sensor}. Composite the scenes again."
        )


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    return cast("zarr.Array[Any]", group[name])
