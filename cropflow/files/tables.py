"""GeoParquet and parquet tables, written atomically and with the same bytes for the same rows."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import geopandas
import pandas
import pyarrow
import pyarrow.parquet
import pyproj

from cropflow.errors import CropflowError, listing
from cropflow.files.atomic import atomic_file

# Rows of a row group of outlines: a square of 10 km meets few of them, each of some megabytes.
ROW_GROUP = 16_384


def write_table(path: Path | str, table: pandas.DataFrame) -> None:
    """Write a parquet file; a GeoDataFrame becomes GeoParquet with a bounding-box column, in small row groups."""
    with atomic_file(path) as temporary:
        if isinstance(table, geopandas.GeoDataFrame):
            table.to_parquet(
                temporary, index=False, compression="zstd", write_covering_bbox=True, row_group_size=ROW_GROUP
            )
        else:
            table.to_parquet(temporary, index=False, compression="zstd")


@contextlib.contextmanager
def geotable_writer(
    path: Path | str,
    schema: pyarrow.Schema,
    crs: pyproj.CRS,
    geometry_types: Sequence[str],
    bounds: Sequence[float],
) -> Iterator[pyarrow.parquet.ParquetWriter]:
    """Write GeoParquet row group by row group; the file is there, whole, when the block ends without an error.

    Args:
        path: File to write.
        schema: Of the tables that will be written: ``geometry`` as WKB and ``bbox`` as a struct of ``xmin``, ``ymin``,
            ``xmax``, ``ymax`` among the columns.
        crs: Of the geometries.
        geometry_types: Types that occur, as GeoParquet names them.
        bounds: Of all geometries.

    Yields:
        A writer; each table that is handed to its ``write_table`` should fill whole row groups.
    """
    template = io.BytesIO()
    geopandas.GeoDataFrame(geometry=[], crs=crs).to_parquet(template, write_covering_bbox=True)
    geo = json.loads(pyarrow.parquet.read_schema(template).metadata[b"geo"])
    geo["columns"]["geometry"] |= {"geometry_types": sorted(geometry_types), "bbox": list(bounds)}
    metadata = (schema.metadata or {}) | {b"geo": json.dumps(geo).encode()}
    # Bounds are what readers choose row groups by; those of outlines as bytes say nothing.
    boxes = [f"bbox.{side}" for side in ("xmin", "ymin", "xmax", "ymax")]
    plain = [name for name in schema.names if name not in ("geometry", "bbox")]
    with (
        atomic_file(path) as temporary,
        pyarrow.parquet.ParquetWriter(
            temporary,
            schema.with_metadata(metadata),
            compression="zstd",
            use_dictionary=[name for name in plain if pyarrow.types.is_string(schema.field(name).type)],
            write_statistics=[*plain, *boxes],
        ) as writer,
    ):
        yield writer


def read_table(path: Path | str, columns: list[str] | None = None) -> pandas.DataFrame:
    """Read a parquet file, or some of its columns, without geometry.

    Raises:
        CropflowError: If the file is missing, no parquet, or lacks a column.
    """
    present = column_names(path)
    missing = [name for name in columns or () if name not in present]
    if missing:
        raise CropflowError(
            f"{path} lacks the columns {listing(missing)}; it has: {listing(present, 40) or 'none'}. It should be a "
            "table that an earlier rule wrote; run that rule again."
        )
    try:
        return pandas.read_parquet(path, columns=columns)
    except (pyarrow.ArrowInvalid, FileNotFoundError) as error:
        raise _unreadable(path, error) from None


def read_geotable(path: Path | str, columns: list[str] | None = None) -> geopandas.GeoDataFrame:
    """Read a GeoParquet file.

    Raises:
        CropflowError: If the file is missing or no GeoParquet, or has no coordinate reference system.
    """
    try:
        table = geopandas.read_parquet(path, columns=columns)
    except (pyarrow.ArrowInvalid, FileNotFoundError, ValueError) as error:
        raise _unreadable(path, error) from None
    if table.crs is None:
        raise CropflowError(f"{path} has no CRS; parcels cannot be placed. Declare it where the file is written.")
    return table.drop(columns="bbox", errors="ignore")


def column_names(path: Path | str) -> list[str]:
    """Names of the columns of a parquet file.

    Raises:
        CropflowError: If the file is missing or no parquet.
    """
    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowInvalid, FileNotFoundError) as error:
        raise _unreadable(path, error) from None


def write_parts(path: Path | str, parts: Iterable[pandas.DataFrame]) -> None:
    """Write tables of the same columns one after the other into a parquet file, so that one at a time is held.

    Raises:
        ValueError: If there is no table, or their columns differ.
    """
    with atomic_file(path) as temporary, contextlib.ExitStack() as stack:
        writer = None
        for part in parts:
            table = pyarrow.Table.from_pandas(part, preserve_index=False)
            if writer is None:
                writer = stack.enter_context(pyarrow.parquet.ParquetWriter(temporary, table.schema, compression="zstd"))
            writer.write_table(table)
        if writer is None:
            raise ValueError(f"no table to write to {path}")


def _unreadable(path: Path | str, error: Exception) -> CropflowError:
    found = "missing" if isinstance(error, FileNotFoundError) else f"no (Geo)Parquet file: {error}"
    return CropflowError(f"{path} is {found}; expected a table that an earlier rule wrote. Run that rule again.")
