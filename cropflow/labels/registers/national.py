"""A country's table of EuroCrops: national crops to HCAT.

EuroCrops publishes one CSV per country and year. A code that a table gives several HCAT
codes for is refused: which of them a parcel carries, nothing tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pyarrow
import pyarrow.compute as pc

from cropflow.errors import CropflowError, listing
from cropflow.labels.parcels import stripped
from cropflow.labels.registers.stream import by_value
from cropflow.labels.rows import read_rows

CODE, NAME = "HCAT3_code", "HCAT3_name"
Key = Literal["original_code", "original_name"]


def read_national(path: Path, key: Key) -> dict[str, tuple[str, str]]:
    """Read a country's table.

    Args:
        path: CSV file in UTF-8.
        key: The column that national crops are looked up by.

    Returns:
        National crop without blanks around it -> code and name of HCAT.

    Raises:
        CropflowError: If the file cannot be read or lacks a column, or one national crop has several codes.
    """
    found: dict[str, tuple[str, str]] = {}
    doubled: dict[str, None] = {}
    for _, row in read_rows(path, (key, CODE, NAME)):
        national, pair = row[key].strip(), (row[CODE].strip(), row[NAME].strip())
        # Rows that give only the name of a crop, or only its code.
        if not national:
            continue
        if found.setdefault(national, pair)[0] != pair[0]:
            doubled[national] = None
    if doubled:
        other = "original_name" if key == "original_code" else "original_code"
        raise CropflowError(
            f"{path.name} gives {len(doubled)} of {len(found)} crops of {key!r} several HCAT codes: "
            f"{listing(map(repr, doubled))}; expected one each. Correct the rows, or set `key: {other}` and name that "
            "column of the register as columns.crop_code."
        )
    return found


def to_hcat(piece: pyarrow.Table, table: dict[str, tuple[str, str]]) -> pyarrow.Table:
    """Put HCAT codes and names in the place of national crops.

    Args:
        piece: ``parcel_id``, ``geometry``, and ``crop_code``, which holds the national crop, string, missing where
            there is none.
        table: See :func:`read_national`.

    Returns:
        A new table: ``crop_code`` and ``hcat_name`` of HCAT, and ``national``, the crop as the register writes it. A
        national crop that the table lacks stays the code, so that mapping names it with its parcels and hectares.
    """
    national = piece["crop_code"].combine_chunks()

    def column(place: int) -> pyarrow.Array:
        found = {crop: pair[place] for crop, pair in table.items()}
        # All values of a piece may be strangers to the table.
        return by_value(national, lambda crops: stripped(crops).map(found)).cast(pyarrow.string())

    return pyarrow.table(
        {
            "parcel_id": piece["parcel_id"],
            "crop_code": pc.coalesce(column(0), national),
            "hcat_name": column(1),
            "national": national,
            "geometry": piece["geometry"],
        }
    )
