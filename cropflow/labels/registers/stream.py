"""Parcels as a stream of Arrow tables: a country is read in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow
import pyproj
import shapely
from numpy.typing import NDArray

from cropflow.errors import CropflowError

# Rows of a piece: some ten megabytes of geometries.
PIECE = 8192
OWN_COLUMNS = ("parcel_id", "crop_code", "geometry")
# Where a row will stand, while it waits.
PLACE = "_place"
# Columns that cleaning adds.
RESERVED = {"area_ha", "bbox", PLACE}


@dataclass(frozen=True)
class ParcelStream:
    """A register, piece by piece.

    Attributes:
        crs: Of all geometries.
        pieces: Tables of some rows each, in the order of the file, all of one schema: ``parcel_id`` string, none
            missing; ``crop_code`` string; any further columns; ``geometry`` binary, WKB, may be missing.
        rows: Number of rows of all pieces.
        findings: To be called when all pieces were read: what a user should know of them, ready for JSON.
    """

    crs: pyproj.CRS
    pieces: Iterable[pyarrow.Table]
    rows: int
    findings: Callable[[], dict[str, Any]] = dict


def by_value(
    column: pyarrow.Array | pyarrow.ChunkedArray, function: Callable[[pandas.Series], pandas.Series]
) -> pyarrow.Array:
    """Apply a function of texts to a column, but to each of its values once: crops are few, parcels many.

    Args:
        column: Text, may be missing.
        function: Takes texts, none missing, each once, and returns texts or truth values in the same order, which may
            be missing.

    Returns:
        What the function made of each row's text; missing where the row has none.
    """
    whole = column.combine_chunks() if isinstance(column, pyarrow.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    made = function(pandas.Series(encoded.dictionary.to_pandas(), dtype="str"))
    return pyarrow.array(made, from_pandas=True).take(encoded.indices)


def decoded(wkb: pyarrow.ChunkedArray) -> tuple[NDArray[np.object_], bool]:
    """Geometries of a piece.

    Args:
        wkb: Binary, may be missing.

    Returns:
        The geometries, ``(parcel,)``; rings that do not close or have too few corners are mended as far as they can
        be, and missing where not. And True where nothing had to be mended.

    Raises:
        CropflowError: If an outline is curved.
    """
    values = wkb.to_numpy(zero_copy_only=False)
    # Coordinates that are no numbers are looked for later.
    with np.errstate(invalid="ignore"):
        try:
            return np.asarray(shapely.from_wkb(values), dtype=object), True
        except shapely.errors.GEOSException:
            return np.asarray(shapely.from_wkb(values, on_invalid="fix"), dtype=object), False
        except NotImplementedError:
            raise CropflowError(
                "The register has outlines with curves; expected polygons with straight edges. Convert it, for "
                "instance with ogr2ogr -nlt CONVERT_TO_LINEAR."
            ) from None


def as_stream(parcels: geopandas.GeoDataFrame, piece: int = PIECE) -> ParcelStream:
    """A table that is in memory already, as a stream.

    Args:
        parcels: ``parcel_id``, ``crop_code``, ``geometry`` and any further columns, with a CRS.
        piece: Rows of a piece.

    Raises:
        ValueError: If a further column has the name of one that cleaning adds.
    """
    if taken := sorted(RESERVED & set(parcels.columns)):
        raise ValueError(f"a reader gives the columns {taken}, which cleaning adds")
    further = [name for name in parcels.columns if name not in OWN_COLUMNS]
    plain = pandas.DataFrame(parcels[["parcel_id", "crop_code", *further]])
    table = pyarrow.Table.from_pandas(plain, preserve_index=False)
    for name in ("parcel_id", "crop_code"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pyarrow.string()))
    wkb = pyarrow.array(shapely.to_wkb(parcels.geometry.to_numpy()), pyarrow.binary())
    table = table.append_column("geometry", wkb)
    pieces = (table.slice(start, piece) for start in range(0, len(table), piece))
    return ParcelStream(parcels.crs, pieces, len(table))


def as_frame(stream: ParcelStream) -> geopandas.GeoDataFrame:
    """A whole stream in memory: ``parcel_id``, ``crop_code``, further columns, ``geometry``."""
    pieces = list(_frames(stream.pieces))
    if not pieces:
        empty = {name: pandas.Series([], dtype="str") for name in OWN_COLUMNS[:2]}
        return geopandas.GeoDataFrame(empty, geometry=[], crs=stream.crs)
    table = pandas.concat([frame for frame, _ in pieces], ignore_index=True)
    geometry = np.concatenate([geometries for _, geometries in pieces])
    return geopandas.GeoDataFrame(table, geometry=geometry, crs=stream.crs)


def _frames(pieces: Iterable[pyarrow.Table]) -> Iterator[tuple[pandas.DataFrame, NDArray[np.object_]]]:
    for piece in pieces:
        yield piece.drop_columns("geometry").to_pandas(), decoded(piece["geometry"])[0]
