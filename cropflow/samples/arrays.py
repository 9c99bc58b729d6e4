"""The memory-mapped arrays of samples of any kind, sensor by sensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from cropflow.samples.sensors import NO_DATE, Layout

# Bytes per pixel and date beside the values.
COUNTS = {"observations": "uint8", "filled": "bool"}


@dataclass(frozen=True)
class SensorArrays:
    """The arrays of a sensor.

    Attributes:
        layout: Axes of its series.
        series: ``values (n, T, C, *space)`` in its dtype, ``observations`` and where wanted ``filled (n, T, *space)``;
            n are samples, or the pixels of all of them.
        dates: Days since the start of the season, int16, ``(sample, T)``; ``NO_DATE`` beyond a site's last one.
    """

    layout: Layout
    series: dict[str, np.memmap[Any, Any]]
    dates: np.memmap[Any, np.dtype[np.int16]]

    def date(self, samples: slice, days: NDArray[np.int16]) -> None:
        """Write the dates of samples of one site."""
        self.dates[samples, : len(days)] = days

    def clear(self, items: slice | int, beyond: int = 0) -> None:
        """Make items nodata from a date on."""
        self.series["values"][items, beyond:] = self.layout.kind.nodata


def create_arrays(
    folder: Path,
    layouts: Sequence[Layout],
    samples: int,
    *,
    items: int | None = None,
    space: tuple[int, ...] = (),
    counts: Sequence[str] = ("observations",),
) -> dict[str, SensorArrays]:
    """Create the arrays of all sensors, each sensor's in a folder of its own.

    Args:
        folder: Existing folder.
        layouts: Axes of each sensor's series.
        samples: Number of samples, at least one.
        items: Length of the first axis of series, where it is not the samples: pixels.
        space: Rows and columns of a sample.
        counts: What is kept beside the values, of ``COUNTS``.
    """
    return {layout.sensor: _create(folder / layout.sensor, layout, samples, items, space, counts) for layout in layouts}


def _create(
    folder: Path, layout: Layout, samples: int, items: int | None, space: tuple[int, ...], counts: Sequence[str]
) -> SensorArrays:
    folder.mkdir()
    first = samples if items is None else items
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "values": (layout.kind.dtype, (first, layout.length, len(layout.bands), *space)),
        **{name: (COUNTS[name], (first, layout.length, *space)) for name in counts},
    }
    series = {name: create_array(folder / f"{name}.npy", dtype, shape) for name, (dtype, shape) in shapes.items()}
    dates = create_array(folder / "dates.npy", "int16", (samples, layout.length))
    dates[:] = NO_DATE
    return SensorArrays(layout, series, dates)


def create_array(path: Path, dtype: str, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Create an array of zeros that is written through a memory map."""
    return open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)


def flush(arrays: Iterable[SensorArrays]) -> None:
    """Write what is still in memory to disk."""
    for sensor in arrays:
        for array in (*sensor.series.values(), sensor.dates):
            array.flush()
