"""GeoParquet as a register, piece by piece: a country of EuroCrops or fiboa is some gigabytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import pyarrow
import pyarrow.parquet
import shapely

from cropflow.errors import CropflowError
from cropflow.files.geoheader import GeoHeader, geo_header
from cropflow.labels.registers.columns import Wanted, as_piece, checked_crs
from cropflow.labels.registers.stream import PIECE, ParcelStream

SUFFIXES = (".parquet", ".geoparquet")


def is_geoparquet(file: Path) -> bool:
    """True for GeoParquet, by name."""
    return file.suffix.lower() in SUFFIXES


def geoparquet_columns(file: Path) -> list[str]:
    """Names of the columns, that of the outlines left out.

    Raises:
        CropflowError: If the file is damaged or no GeoParquet.
    """
    with _open(file) as parquet:
        header = _header(file, parquet)
        return [name for name in parquet.schema_arrow.names if name != header.column]


@contextmanager
def stream_geoparquet(file: Path, wanted: Wanted, piece: int = PIECE) -> Iterator[ParcelStream]:
    """Read codes, ids, geometries and perhaps further columns, piece by piece.

    Args:
        file: A GeoParquet file.
        wanted: The columns.
        piece: Rows of a piece.

    Raises:
        CropflowError: If the file is damaged or no GeoParquet, or a column or the CRS is missing.
    """
    with _open(file) as parquet:
        header = _header(file, parquet)
        found = wanted.among(file, [name for name in parquet.schema_arrow.names if name != header.column])
        crs = checked_crs(file, header.crs)
        further = tuple(wanted.further)
        pieces = (
            as_piece(file, batch, start, found, further, header.column)
            for start, batch in _batches(file, parquet, [*dict.fromkeys(found.values()), header.column], header, piece)
        )
        yield ParcelStream(crs, pieces, parquet.metadata.num_rows)


@contextmanager
def _open(file: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    try:
        parquet = pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(file, error) from None
    with parquet:
        yield parquet


def _header(file: Path, parquet: pyarrow.parquet.ParquetFile) -> GeoHeader:
    header = geo_header(parquet.schema_arrow)
    if header is None:
        raise CropflowError(f"{file.name} is no GeoParquet (no 'geo' metadata); write it with GDAL or GeoPandas.")
    return header


def _batches(
    file: Path, parquet: pyarrow.parquet.ParquetFile, columns: list[str], header: GeoHeader, piece: int
) -> Iterator[tuple[int, pyarrow.RecordBatch]]:
    """Batches with the number of their first row."""
    batches, rows = parquet.iter_batches(piece, columns=columns), 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(file, error) from None
        yield rows, batch if header.encoding == "WKB" else _as_wkb(batch, header)
        rows += len(batch)


def _as_wkb(batch: pyarrow.RecordBatch, header: GeoHeader) -> pyarrow.RecordBatch:
    """Outlines of one of GeoArrow's encodings as WKB."""
    place = batch.schema.get_field_index(header.column)
    field = batch.schema.field(place).with_metadata({"ARROW:extension:name": f"geoarrow.{header.encoding}"})
    alone = pyarrow.table([batch.column(place)], schema=pyarrow.schema([field]))
    wkb = shapely.to_wkb(geopandas.GeoDataFrame.from_arrow(alone).geometry.to_numpy())
    return batch.set_column(place, header.column, pyarrow.array(wkb, pyarrow.binary()))


def _damaged(file: Path, error: Exception) -> CropflowError:
    return CropflowError(f"{file.name} is damaged or no GeoParquet ({error}); fetch it again.")
