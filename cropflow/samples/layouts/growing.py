"""Arrays in ``.npy`` files that grow by their first axis, so that nobody needs to know its length beforehand."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """An array that is appended to and never held in memory.

    NumPy pads the header for the largest first axis there can be: the final one fits in the place of the first.
    """

    def __init__(self, path: Path, dtype: DTypeLike, rest: tuple[int, ...]) -> None:
        """Begin an array of shape ``(0, *rest)``."""
        self.dtype = np.dtype(dtype)
        self.rest = rest
        self.length = 0
        path.parent.mkdir(exist_ok=True)
        self._file = path.open("wb")
        self._write_header()
        self._first = self._file.tell()

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows ``(n, *rest)`` of the array's dtype.

        Raises:
            ValueError: If they are of another shape or dtype.
        """
        if rows.shape[1:] != self.rest or rows.dtype != self.dtype:
            raise ValueError(f"rows are {rows.dtype} {rows.shape}; the array takes {self.dtype} {(-1, *self.rest)}")
        self._file.write(np.ascontiguousarray(rows).data)
        self.length += len(rows)

    def close(self) -> None:
        """Write the final length into the header."""
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._first:
            raise RuntimeError(f"the header of {self._file.name} grew from {self._first} to {self._file.tell()} bytes")
        self._file.close()

    def _write_header(self) -> None:
        shape = (self.length, *self.rest)
        about = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, about)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
