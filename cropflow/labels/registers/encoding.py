"""The encoding of text in old files: what they declare, and whether it can be true."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.compute as pc

from cropflow.errors import CropflowError

# What French administrations wrote before UTF-8; like Latin-1, with letters where that has control characters.
WINDOWS = "CP1252"
# Place in the header of a DBF file of the number that names its code page; 0: none.
_CODE_PAGE_BYTE = 29
_WAY_OUT = "Give the true one as `encoding` of the register's file, for instance CP1252 or UTF-8."


def declared_encoding(file: Path) -> str | None:
    """The encoding to read a file with: None leaves it to the file.

    A shapefile names its encoding in a ``.cpg`` file or in the header of its ``.dbf``; one that does neither is taken
    for Windows-1252.
    """
    if file.suffix.lower() != ".shp" or any(file.with_suffix(suffix).is_file() for suffix in (".cpg", ".CPG")):
        return None
    for table in (file.with_suffix(".dbf"), file.with_suffix(".DBF")):
        if table.is_file():
            with table.open("rb") as handle:
                header = handle.read(_CODE_PAGE_BYTE + 1)
            if len(header) > _CODE_PAGE_BYTE and header[_CODE_PAGE_BYTE]:
                return None
    return WINDOWS


def checked_text(values: pyarrow.Array, file: Path, column: str) -> pyarrow.Array:
    """Refuse text that was not written in the encoding that it is read with.

    Args:
        values: A column; only text is looked at.
        file: Its file, for the message.
        column: Its name, for the message.

    Raises:
        CropflowError: If bytes are no UTF-8 although they are declared as such, or text is UTF-8 that was read as
            Windows-1252 ("Ã©" for "é").
    """
    if not (pyarrow.types.is_string(values.type) or pyarrow.types.is_large_string(values.type)):
        return values
    try:
        values.validate(full=True)
    except pyarrow.ArrowInvalid:
        wrong = next(value for value in values.cast(pyarrow.binary()).to_pylist() if not _is_utf8(value))
        raise CropflowError(
            f"{file.name}, column {column!r}, holds {wrong[:40]!r}, which is no UTF-8, as the file declares. {_WAY_OUT}"
        ) from None
    foreign = pc.unique(values.filter(pc.invert(pc.fill_null(pc.string_is_ascii(values), True))))
    for text in foreign.to_pylist():
        if _is_utf8(_windows_bytes(text)):
            raise CropflowError(
                f"{file.name}, column {column!r}, holds {text[:40]!r}, which is UTF-8 read in the encoding that the "
                f"file declares. {_WAY_OUT}"
            )
    return values


def _is_utf8(value: bytes | None) -> bool:
    if value is None:
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _windows_bytes(text: str) -> bytes:
    """The bytes that text has in Windows-1252; where it has none, bytes that are no UTF-8."""
    try:
        return text.encode(WINDOWS)
    except UnicodeEncodeError:
        return b"\xff"
