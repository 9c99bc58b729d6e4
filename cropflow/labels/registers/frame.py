"""A layer in memory at once, for readers that put several files together or look at all rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas
import pandas
import pyarrow
import pyogrio

from cropflow.labels.registers.columns import Wanted, as_text
from cropflow.labels.registers.stream import as_frame
from cropflow.labels.registers.vector import stream_columns


def read_frame(
    file: Path,
    layer: str,
    code: tuple[str, ...],
    identity: tuple[str, ...] = (),
    further: Mapping[str, tuple[str, ...]] | None = None,
    encoding: str | None = None,
) -> geopandas.GeoDataFrame:
    """Read the code, the id, the geometry and perhaps further columns of a layer.

    Args:
        file: A vector file.
        layer: One of its layers.
        code: Names that the column of codes may have; capitals do not matter where a name is clear.
        identity: The same for ids; empty: the row numbers, from 1, become the ids.
        further: New name -> names of a column that is carried along as text.
        encoding: Of the file's text, where it does not say so itself, or says something wrong.

    Returns:
        ``parcel_id`` str, ``crop_code`` str or missing, further columns, missing throughout where the file has none of
        their names, and ``geometry``.

    Raises:
        CropflowError: If the column of codes or of ids or the CRS is missing, or not every row can be read.
    """
    with stream_columns(file, layer, Wanted(code, identity, further or {}), encoding) as parcels:
        return as_frame(parcels)


def columns_of(file: Path, layer: str) -> list[str]:
    """Names of the columns of a layer, the geometry's left out."""
    return [str(name) for name in pyogrio.read_info(file, layer=layer)["fields"]]


def column_among(columns: list[str], names: tuple[str, ...]) -> str | None:
    """The first column that bears one of the names, whatever its capitals."""
    folded = {name.casefold() for name in names}
    return next((column for column in columns if column.casefold() in folded), None)


def text_of(values: pandas.Series) -> pandas.Series:
    """Codes and ids as text: 5100 and 5100.0 become '5100', missing values stay missing."""
    text = as_text(pyarrow.array(values, from_pandas=True))
    return pandas.Series(text.to_pylist(), index=values.index, dtype="str")
