"""Rows of a GeoParquet file at any place in it, without holding the file: a country's parcels fill gigabytes."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.geoheader import geo_header

BBOX = ("xmin", "ymin", "xmax", "ymax")
# Row groups that stay in memory: as many neighbours as fit into this, bytes.
CACHED_BYTES = 256_000_000
# Consecutive rows with one bounding box over them: the file is sorted along a curve, so the boxes are compact.
BLOCK_ROWS = 4096
# Rows that a search may find beyond four times as many as it has boxes, before it looks closer.
SPARE_ROWS = 20_000


class GeoRows:
    """A GeoParquet file with a bounding-box column, as :func:`cropflow.files.tables.write_table` writes it.

    The bounds of all rows are held, 32 bytes a row; geometries are read by row groups. Fast where rows
    that lie near each other in the file do so on the ground.

    Attributes:
        path: The file.
        crs: Its coordinate reference system.
        bounds: Bounds of the rows in the file's CRS, float64, ``(row, 4)``: xmin, ymin, xmax, ymax.
    """

    def __init__(self, path: Path | str) -> None:
        """Open a file and read the bounds of its rows.

        Raises:
            CropflowError: If the file is missing, no GeoParquet, or has no bounding boxes or no CRS.
        """
        self.path = Path(path)
        try:
            self._file = pyarrow.parquet.ParquetFile(self.path)
        except FileNotFoundError:
            raise _unreadable(self.path, "missing") from None
        except pyarrow.ArrowInvalid as error:
            raise _unreadable(self.path, f"no parquet file ({error})") from None
        schema = self._file.schema_arrow
        header = geo_header(schema)
        if header is None or "bbox" not in schema.names:
            raise _unreadable(self.path, "no GeoParquet file with a column of bounding boxes (bbox)")
        if header.crs is None:
            raise CropflowError(f"{path} has no CRS; parcels cannot be placed. Declare it where the file is written.")
        self._geometry, self.crs = header.column, header.crs
        groups = self._file.metadata.num_row_groups
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(groups)]
        self._starts = np.cumsum([0, *sizes])
        self._cache: OrderedDict[int, pyarrow.Array] = OrderedDict()
        boxes = self._file.read(columns=["bbox"]).column("bbox").combine_chunks()
        # Compared in double precision, whatever the file stores.
        self.bounds: NDArray[np.float64] = np.column_stack(
            [np.asarray(boxes.field(name), dtype=np.float64) for name in BBOX]
        )

    def __len__(self) -> int:
        return int(self._starts[-1])

    def column(self, name: str) -> pandas.Series:
        """One column of all rows."""
        series: pandas.Series = pandas.read_parquet(self.path, columns=[name])[name]
        return series

    def geometries(self, rows: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """Read outlines as WKB, which threads may parse; not to be called by several threads at once.

        Args:
            rows: Rows in ascending order, int64, ``(row,)``.

        Returns:
            WKB, object array of bytes, ``(row,)``.
        """
        found = []
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups):
            here = rows[groups == group] - self._starts[group]
            found.append(self._group(int(group)).take(pyarrow.array(here)).to_numpy(zero_copy_only=False))
        return np.concatenate(found) if found else np.empty(0, dtype=object)

    def _group(self, group: int) -> pyarrow.Array:
        if group in self._cache:
            self._cache.move_to_end(group)
        else:
            column = self._file.read_row_group(group, columns=[self._geometry]).column(self._geometry)
            # Large offsets: the outlines of one group may exceed two gigabytes.
            self._cache[group] = pyarrow.chunked_array(column.chunks).cast(pyarrow.large_binary()).combine_chunks()
            while len(self._cache) > 1 and sum(held.nbytes for held in self._cache.values()) > CACHED_BYTES:
                self._cache.popitem(last=False)
        return self._cache[group]


class BoundsIndex:
    """Finds the rows whose bounds meet a box; quick where neighbours in the file are neighbours on the ground."""

    def __init__(self, bounds: NDArray[np.float64]) -> None:
        """Lay one box over every block of rows.

        Args:
            bounds: xmin, ymin, xmax, ymax, float64, ``(row, 4)``; rows that are not finite are never found.
        """
        self._bounds = np.where(np.isfinite(bounds).all(axis=1, keepdims=True), bounds, np.nan)
        starts = np.arange(0, len(bounds), BLOCK_ROWS)
        low, high = np.nan_to_num(self._bounds[:, :2], nan=np.inf), np.nan_to_num(self._bounds[:, 2:], nan=-np.inf)
        self._starts = starts
        self._blocks = (
            np.hstack([np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)])
            if len(bounds)
            else np.empty((0, 4))
        )

    def meeting(self, box: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows whose bounds meet or touch a box.

        Args:
            box: xmin, ymin, xmax, ymax, float64, ``(4,)``.

        Returns:
            Rows in ascending order, int64.
        """
        found = [
            start + np.flatnonzero(_meet(self._bounds[start : start + BLOCK_ROWS], box))
            for start in self._starts[_meet(self._blocks, box)]
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *found])

    def meeting_any(self, boxes: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows that meet the common bounds of boxes, or closer: those of halves where the common bounds hold too much.

        Neighbours on the curve may lie an island apart; their common bounds would then hold a whole country.

        Args:
            boxes: Bounds of at least one row, in the order of the curve, float64, ``(box, 4)``.

        Returns:
            Rows in ascending order, int64: every row that meets one of the boxes, and some others.
        """
        found = self.meeting(np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]))
        if len(boxes) == 1 or len(found) <= 4 * len(boxes) + SPARE_ROWS:
            return found
        half = len(boxes) // 2
        return np.union1d(self.meeting_any(boxes[:half]), self.meeting_any(boxes[half:]))


def _meet(bounds: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = (
        (bounds[:, 0] <= box[2]) & (bounds[:, 2] >= box[0]) & (bounds[:, 1] <= box[3]) & (bounds[:, 3] >= box[1])
    )
    return result


def _unreadable(path: Path, found: str) -> CropflowError:
    return CropflowError(f"{path} is {found}; expected parcels that an earlier rule wrote. Run that rule again.")
