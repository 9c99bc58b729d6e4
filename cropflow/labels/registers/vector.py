"""Any vector file as a register: a layer, a column of codes, perhaps a column of ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import pandas
import pyarrow
import pyogrio
import pyproj
import shapely
from pandas.api import types

from cropflow.config.registers import Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.archives import unpacked

_UNREADABLE = (
    pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyarrow.ArrowException,
    shapely.errors.GEOSException, OSError,
)  # fmt: skip


def read(source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read a register through the column mapping of its settings; see :class:`cropflow.labels.registers.Reader`."""
    if settings.columns is None:
        raise CropflowError("registers.<name>.columns is missing; reader vector needs columns.crop_code.")
    layer = settings.files[season].layer if season in settings.files else None
    with unpacked(source, member=layer) as file:
        name = choose_layer(file, layer)
        return read_columns(file, name, (settings.columns.crop_code,), _names(settings.columns.parcel_id))


def _names(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


def choose_layer(file: Path, layer: str | None, prefer: str = "") -> str:
    """Find the layer to read.

    Args:
        file: A vector file.
        layer: The layer asked for, where one is.
        prefer: Of several layers with geometry, the only one whose name contains this is taken.

    Raises:
        CropflowError: If the file is unreadable, or there is no such layer, or more than one.
    """
    try:
        found = [(str(name), kind) for name, kind in pyogrio.list_layers(file)]
    except _UNREADABLE as error:
        raise CropflowError(f"{file.name} cannot be read as a vector file ({error}); fetch it again.") from None
    if layer is not None:
        for name, _ in found:
            # In an archive of several files the layer may name the file, whose own layer has any name.
            if name == layer or (len(found) == 1 and layer.lower() == file.stem.lower()):
                return name
        known = listing(name for name, _ in found)
        raise CropflowError(
            f"{file.name} has no layer {layer!r}; it has: {known}. Correct `layer` of the register's file."
        )
    spatial = [name for name, kind in found if kind is not None]
    preferred = [name for name in spatial if prefer and prefer in name.lower()]
    for candidates in (spatial, preferred):
        if len(candidates) == 1:
            return candidates[0]
    known = listing(spatial) or "none"
    raise CropflowError(f"{file.name} has {len(spatial)} layers with geometry ({known}); name one as `layer`.")


def read_columns(
    file: Path, layer: str, code_names: tuple[str, ...], id_names: tuple[str, ...]
) -> geopandas.GeoDataFrame:
    """Read the code, the id and the geometry of a layer.

    Args:
        file: A vector file.
        layer: One of its layers.
        code_names: Names that the column of codes may have; capitals do not matter where a name is clear.
        id_names: The same for ids; empty: the row numbers, from 1, become the ids.

    Returns:
        ``parcel_id`` str, ``crop_code`` str or missing, ``geometry``.

    Raises:
        CropflowError: If a column or the CRS is missing, or not every row can be read.
    """
    try:
        about = pyogrio.read_info(file, layer=layer, force_feature_count=True)
        columns = [str(name) for name in about["fields"]]
        code = _column(file, columns, code_names)
        identity = _column(file, columns, id_names) if id_names else None
        wanted = [code] if identity is None else [code, identity]
        _check_crs(file, about["crs"])
        table = pyogrio.read_dataframe(file, layer=layer, columns=wanted, use_arrow=True)
    except _UNREADABLE as error:
        raise CropflowError(f"{file.name} is damaged ({error}); fetch it again.") from None
    if len(table) != about["features"]:
        raise CropflowError(
            f"{file.name} gave {len(table)} of {about['features']} parcels; the file is damaged, fetch it again."
        )
    numbers = pandas.Series([str(number + 1) for number in range(len(table))], dtype="str")
    ids = numbers if identity is None else as_text(table[identity]).where(lambda text: text.notna(), "row" + numbers)
    return geopandas.GeoDataFrame(
        {"parcel_id": ids, "crop_code": as_text(table[code])}, geometry=table.geometry.to_numpy(), crs=table.crs
    )


def _column(file: Path, columns: list[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return name
    alike = [column for column in columns if column.lower() in {name.lower() for name in names}]
    if len(alike) == 1:
        return alike[0]
    wanted = " or ".join(repr(name) for name in names)
    raise CropflowError(f"{file.name} has no column {wanted}; it has: {listing(columns, 40) or 'none'}.")


def _check_crs(file: Path, found: str | None) -> None:
    way_out = "Declare the CRS in the file, for instance with ogr2ogr -a_srs."
    if found is None:
        raise CropflowError(f"{file.name} has no CRS; parcels cannot be placed. {way_out}")
    try:
        crs = pyproj.CRS.from_user_input(found)
    except pyproj.exceptions.CRSError:
        raise CropflowError(f"{file.name} has a CRS that PROJ does not know ({found[:60]!r}). {way_out}") from None
    if not (crs.is_geographic or crs.is_projected):
        raise CropflowError(f"{file.name} has the local CRS {crs.name!r}; expected one on the globe. {way_out}")


def as_text(values: pandas.Series) -> pandas.Series:
    """Codes and ids as text: 5100 and 5100.0 become '5100', 'NA' stays 'NA', missing values stay missing.

    Args:
        values: A column of text or numbers.
    """
    missing = values.isna()
    result = pandas.Series(pandas.NA, index=values.index, dtype="str")
    result[~missing] = [_written(value) for value in values[~missing].tolist()]
    return result


def _written(value: Any) -> str:
    # A whole number becomes a float where another row of its column is missing.
    if types.is_float(value) and float(value).is_integer():
        return str(int(value))
    return str(value)
