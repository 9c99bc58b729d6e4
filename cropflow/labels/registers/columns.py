"""Columns of a register's file, whatever its format: which are wanted, under which names, and as what text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
import pyproj

from cropflow.errors import CropflowError, listing
from cropflow.labels.registers.encoding import checked_text


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

    def among(self, file: Path, columns: list[str]) -> dict[str, str]:
        """New name -> column of a file; further columns that it lacks are left out.

        Raises:
            CropflowError: If the column of codes or of ids is missing, or not clear.
        """
        found = {"crop_code": _column(file, columns, self.code)}
        if self.identity:
            found["parcel_id"] = _column(file, columns, self.identity)
        for name, known in self.further.items():
            if any(column.lower() in {each.lower() for each in known} for column in columns):
                found[name] = _column(file, columns, known)
        return found


def names(name: str | None) -> tuple[str, ...]:
    """The names of a column of :class:`Wanted`, where there is at most one."""
    return () if name is None else (name,)


def as_piece(
    file: Path,
    batch: pyarrow.RecordBatch,
    start: int,
    found: Mapping[str, str],
    further: tuple[str, ...],
    geometry: str,
) -> pyarrow.Table:
    """A batch as :class:`ParcelStream` has it.

    Args:
        file: Where it comes from, for messages.
        batch: Rows of a file, with outlines as WKB.
        start: Rows before it.
        found: New name -> column; see :meth:`Wanted.among`.
        further: New names of further columns, those that the file lacks included.
        geometry: Name of the column of outlines.
    """
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


def checked_crs(file: Path, found: str | pyproj.CRS | None) -> pyproj.CRS:
    """The CRS of a file, if it has one that lies on the globe; one line on what to do where not."""
    way_out = "Declare the CRS in the file, for instance with ogr2ogr -a_srs."
    if found is None:
        raise CropflowError(f"{file.name} has no CRS; parcels cannot be placed. {way_out}")
    try:
        crs = pyproj.CRS.from_user_input(found)
    except pyproj.exceptions.CRSError:
        raise CropflowError(f"{file.name} has a CRS that PROJ does not know ({str(found)[:60]!r}). {way_out}") from None
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
