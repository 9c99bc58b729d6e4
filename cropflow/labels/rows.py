"""Rows of the CSV files that legends and tables are kept in: all text, each with its line number."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from cropflow.errors import CropflowError, refuse


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file in UTF-8.

    Args:
        path: The file.
        columns: Columns that it has at least.

    Returns:
        Line number and column -> text of every row.

    Raises:
        CropflowError: If the file cannot be read, lacks a column, or a row has more or fewer values than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                refuse(f"The header of {path.name}", reader.fieldnames, f"columns {','.join(columns)}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CropflowError(f"{str(path)!r} cannot be read as a UTF-8 CSV file: {error}") from error
    for line, row in rows:
        if None in row or None in row.values():
            raise CropflowError(f"{path.name}, line {line} has not as many values as the header has columns.")
    return rows


def whole_number(text: str, what: str) -> int:
    """Parse digits.

    Args:
        text: The text.
        what: What it is, as the user knows it.

    Raises:
        CropflowError: If the text is anything but digits.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text):
        refuse(f"The {what}", text, "a whole number")
    return int(text)
