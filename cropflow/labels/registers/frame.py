"""A layer in memory at once, for readers that put several files together or look at all rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas
import pandas
import pyogrio

from cropflow.labels.registers.vector import as_text, read_columns


def read_frame(
    file: Path,
    layer: str,
    code: tuple[str, ...],
    identity: tuple[str, ...] = (),
    further: Mapping[str, tuple[str, ...]] | None = None,
) -> geopandas.GeoDataFrame:
    """Read the code, the id, the geometry and perhaps further columns of a layer.

    Args:
        file: A vector file.
        layer: One of its layers.
        code: Names that the column of codes may have; capitals do not matter where a name is clear.
        identity: The same for ids; empty: the row numbers, from 1, become the ids.
        further: New name -> names of a column that is carried along as text.

    Returns:
        ``parcel_id`` str, ``crop_code`` str or missing, further columns, missing throughout where the file has none of
        their names, and ``geometry``.

    Raises:
        CropflowError: If the column of codes or of ids or the CRS is missing, or not every row can be read.
    """
    parcels = read_columns(file, layer, code, identity)
    fields = columns_of(file, layer)
    for name, names in (further or {}).items():
        found = column_among(fields, names)
        if found is None:
            parcels[name] = pandas.Series(pandas.NA, index=parcels.index, dtype="str")
        else:
            table = pyogrio.read_dataframe(file, layer=layer, columns=[found], read_geometry=False, use_arrow=True)
            parcels[name] = as_text(table[found])
    return parcels[[*parcels.columns.drop("geometry"), "geometry"]]


def columns_of(file: Path, layer: str) -> list[str]:
    """Names of the columns of a layer, the geometry's left out."""
    return [str(name) for name in pyogrio.read_info(file, layer=layer)["fields"]]


def column_among(columns: list[str], names: tuple[str, ...]) -> str | None:
    """The first column that bears one of the names, whatever its capitals."""
    folded = {name.casefold() for name in names}
    return next((column for column in columns if column.casefold() in folded), None)


def text_of(values: pandas.Series) -> pandas.Series:
    """Codes and ids as text: 5100 and 5100.0 become '5100', missing values stay missing."""
    return as_text(values)
