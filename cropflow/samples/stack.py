"""Series of the same pixels by several sensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.samples.sensors import KINDS

Values = NDArray[Any]


@dataclass(frozen=True)
class Stack:
    """Series of the same pixels by several sensors, each with bands, periods, type and nodata of its own.

    Attributes:
        values: Sensor -> values as stored, ``(..., T, C, y, x)``; NumPy arrays or memory maps. Leading axes and
            ``(y, x)`` are the same for all sensors, T and C are each sensor's own.
    """

    values: Mapping[str, Values]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.pixel_shape[-2:]
        return rows, columns

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Leading axes, rows and columns."""
        first = next(iter(self.values.values()))
        return (*first.shape[:-4], *first.shape[-2:])

    def __getitem__(self, where: Any) -> Stack:
        """A part of the leading axes, the same of every sensor."""
        return self.changed(lambda _, values: values[where])

    def changed(self, change: Callable[[str, Values], Values]) -> Stack:
        """Another stack, made of a function of each sensor and its values."""
        return Stack({sensor: change(sensor, values) for sensor, values in self.values.items()})

    def read(self) -> Stack:
        """The same in memory."""
        return self.changed(lambda _, values: np.array(values))

    def window(self, rows: slice, columns: slice = slice(None)) -> Stack:
        """A part of the rows and columns."""
        return self.changed(lambda _, values: values[..., rows, columns])

    def complete(self) -> NDArray[np.bool_]:
        """True where every sensor has a value in every period and band, bool, ``(..., y, x)``."""
        found: NDArray[np.bool_] = reduce(
            np.logical_and, ((values != KINDS[sensor].nodata).all(axis=(-4, -3)) for sensor, values in self._each())
        )
        return found

    def pixels(self, where: NDArray[np.bool_]) -> dict[str, Values]:
        """Series of chosen pixels: sensor -> values ``(n, T, C)``.

        Args:
            where: True where a pixel is chosen, bool, ``(..., y, x)``.
        """
        return {sensor: np.moveaxis(values, (-4, -3), (-2, -1))[where] for sensor, values in self._each()}

    def row_of(self, where: NDArray[np.bool_]) -> Stack:
        """Chosen pixels as one row, ``(..., T, C, 1, n)``.

        Args:
            where: True where a pixel is chosen, bool, ``(y, x)``.
        """
        return self.changed(lambda _, values: values[..., where][..., np.newaxis, :])

    def padded(self, rows: int, columns: int) -> Stack:
        """The same, filled with nodata below and on the right.

        Args:
            rows: Rows of the result, at least those there are.
            columns: Its columns.
        """
        missing = (rows - self.shape[0], columns - self.shape[1])
        if not any(missing):
            return self

        def pad(sensor: str, values: Values) -> Values:
            widths = [(0, 0)] * (values.ndim - 2) + [(0, missing[0]), (0, missing[1])]
            return np.pad(values, widths, constant_values=KINDS[sensor].nodata)

        return self.changed(pad)

    def _each(self) -> Iterator[tuple[str, Values]]:
        return iter(self.values.items())
