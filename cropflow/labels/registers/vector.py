"""Any vector file as a register: a layer, a column of codes, perhaps a column of ids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
import pyogrio
import pyproj

from cropflow.config.registers import Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.archives import unpacked
from cropflow.labels.registers.encoding import checked_text, declared_encoding
from cropflow.labels.registers.stream import PIECE, ParcelStream

_UNREADABLE = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyarrow.ArrowException, OSError)


@contextmanager
def stream(source: Path, season: str, settings: Register) -> Iterator[ParcelStream]:
    """Read a register through the column mapping of its settings; see :class:`cropflow.labels.registers.Reader`."""
    if settings.columns is None:
        raise CropflowError("registers.<name>.columns is missing; reader vector needs columns.crop_code.")
    about = settings.files.get(season)
    layer = about.layer if about else None
    wanted = Wanted((settings.columns.crop_code,), _names(settings.columns.parcel_id))
    with (
        unpacked(source, member=layer) as file,
        stream_columns(file, choose_layer(file, layer), wanted, about.encoding if about else None) as parcels,
    ):
        yield parcels


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


@dataclass(frozen=True)
class Wanted:
    """Columns to read; of each, the names that it may have: capitals do not matter where a name is clear.

    Attributes:
        code: Names of the column of codes.
        identity: Names of the column of ids; empty: the row numbers, from 1, become the ids.
        further: New name -> names of a column that is carried along as text, missing throughout where there is none.
    """

    code: tuple[str, ...]
    identity: tuple[str, ...] = ()
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@contextmanager
def stream_columns(
    file: Path, layer: str, wanted: Wanted, encoding: str | None = None, piece: int = PIECE
) -> Iterator[ParcelStream]:
    """Read codes, ids, geometries and perhaps further columns of a layer, piece by piece.

    Args:
        file: A vector file.
        layer: One of its layers.
        wanted: The columns.
        encoding: Of the file's text, where it does not say so itself, or says something wrong.
        piece: Rows of a piece.

    Raises:
        CropflowError: If a column or the CRS is missing, text has another encoding, or not every row can be read.
    """
    encoding = encoding or declared_encoding(file)
    try:
        about = pyogrio.read_info(file, layer=layer, encoding=encoding, force_feature_count=True)
    except _UNREADABLE as error:
        raise CropflowError(f"{file.name} is damaged ({error}); fetch it again.") from None
    columns = [str(name) for name in about["fields"]]
    found = {"crop_code": _column(file, columns, wanted.code)}
    if wanted.identity:
        found["parcel_id"] = _column(file, columns, wanted.identity)
    for name, names in wanted.further.items():
        if any(column.lower() in {each.lower() for each in names} for column in columns):
            found[name] = _column(file, columns, names)
    crs = _checked_crs(file, about["crs"])
    with ExitStack() as open_:
        try:
            meta, reader = open_.enter_context(
                pyogrio.open_arrow(
                    file, layer=layer, columns=list(dict.fromkeys(found.values())), encoding=encoding,
                    batch_size=piece, use_pyarrow=True,
                )
            )  # fmt: skip
        except _UNREADABLE as error:
            raise CropflowError(f"{file.name} is damaged ({error}); fetch it again.") from None
        geometry = meta["geometry_name"] or "wkb_geometry"
        batches = _whole(file, reader, about["features"])
        pieces = (_piece(file, batch, start, found, tuple(wanted.further), geometry) for start, batch in batches)
        yield ParcelStream(crs, pieces, about["features"])


def _whole(file: Path, reader: pyarrow.RecordBatchReader, features: int) -> Iterator[tuple[int, pyarrow.RecordBatch]]:
    """Batches with the number of their first row; an error where they end early."""
    rows = 0
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        except _UNREADABLE as error:
            raise CropflowError(f"{file.name} is damaged ({error}); fetch it again.") from None
        yield rows, batch
        rows += len(batch)
    if rows != features:
        raise CropflowError(f"{file.name} gave {rows} of {features} parcels; the file is damaged, fetch it again.")


def _piece(
    file: Path,
    batch: pyarrow.RecordBatch,
    start: int,
    found: Mapping[str, str],
    further: tuple[str, ...],
    geometry: str,
) -> pyarrow.Table:
    """A batch as :class:`ParcelStream` has it."""
    text = {name: as_text(checked_text(batch.column(column), file, column)) for name, column in found.items()}
    numbers = pyarrow.array(np.arange(start + 1, start + 1 + len(batch))).cast(pyarrow.string())
    if "parcel_id" in text:
        numbers = pc.coalesce(text["parcel_id"], pc.binary_join_element_wise("row", numbers, ""))
    nothing = pyarrow.nulls(len(batch), pyarrow.string())
    return pyarrow.table(
        {
            "parcel_id": numbers,
            "crop_code": text["crop_code"],
            **{name: _or_missing(text[name]) if name in text else nothing for name in further},
            "geometry": batch.column(geometry).cast(pyarrow.binary()),
        }
    )


def _or_missing(text: pyarrow.Array) -> pyarrow.Array:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(text), ""), pyarrow.scalar(None, pyarrow.string()), text)


def _column(file: Path, columns: list[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return name
    alike = [column for column in columns if column.lower() in {name.lower() for name in names}]
    if len(alike) == 1:
        return alike[0]
    wanted = " or ".join(repr(name) for name in names)
    raise CropflowError(f"{file.name} has no column {wanted}; it has: {listing(columns, 40) or 'none'}.")


def _checked_crs(file: Path, found: str | None) -> pyproj.CRS:
    way_out = "Declare the CRS in the file, for instance with ogr2ogr -a_srs."
    if found is None:
        raise CropflowError(f"{file.name} has no CRS; parcels cannot be placed. {way_out}")
    try:
        crs = pyproj.CRS.from_user_input(found)
    except pyproj.exceptions.CRSError:
        raise CropflowError(f"{file.name} has a CRS that PROJ does not know ({found[:60]!r}). {way_out}") from None
    if not (crs.is_geographic or crs.is_projected):
        raise CropflowError(f"{file.name} has the local CRS {crs.name!r}; expected one on the globe. {way_out}")
    return crs


def as_text(values: pyarrow.Array) -> pyarrow.Array:
    """Codes and ids as text: 5100 and 5100.0 become '5100', 'NA' stays 'NA', missing values stay missing.

    Args:
        values: A column of text, numbers, truth values or dates.
    """
    if pyarrow.types.is_string(values.type) or pyarrow.types.is_large_string(values.type):
        return values.cast(pyarrow.string())
    if pyarrow.types.is_integer(values.type):
        return values.cast(pyarrow.string())
    return pyarrow.array([_written(value) for value in values.to_pylist()], pyarrow.string())


def _written(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    # Some formats know no other numbers than floats.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
