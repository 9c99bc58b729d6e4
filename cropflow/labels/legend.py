"""Legends: a hierarchy of crops as data, and the tables that map a register's codes to it.

A legend is a CSV file with the columns ``id,level,name,parent,colour``. Level 1 is the coarsest; every crop but
those of level 1 names the id of its parent, one level coarser. Ids of all levels share one number space and are
never renumbered: maps, models and stored matrices carry them. ``legends/ids.lock`` holds what was given out.

A table is a CSV file with the columns ``code,crop``: a code of the register and the name of a crop of the finest
level, or ``-`` where the code is out of the legend's scope. More columns are allowed and not read, but
``first_year`` and ``last_year`` are checked.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cropflow.errors import CropflowError, listing, refuse
from cropflow.labels.hierarchy import Crop, Legend, check_tree, closest

__all__ = ["Crop", "Legend", "check_legend", "legend_names", "read_legend", "read_table", "table_names"]

FOLDER = Path(__file__).parent / "legends"
OUT_OF_SCOPE = 0
OUT_OF_SCOPE_MARK = "-"
LEGEND_COLUMNS = ("id", "level", "name", "parent", "colour")
TABLE_COLUMNS = ("code", "crop")
LOCK_COLUMNS = ("legend", "id", "level", "name")


def legend_names() -> tuple[str, ...]:
    """Names of the legends that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


def table_names(legend: str) -> tuple[str, ...]:
    """Names of the tables that lie in the folder beside a legend's file."""
    return tuple(sorted(path.stem for path in _legend_path(legend).with_suffix("").glob("*.csv")))


def read_legend(name_or_path: str | Path) -> Legend:
    """Read a legend of the package by its name, or one's own by the path of its CSV file.

    Raises:
        CropflowError: If there is no such legend, or its file is no tree of crops.
    """
    path = _legend_path(name_or_path)
    return _packaged_legend(path) if path.parent == FOLDER else _load(path)


def read_table(legend: str | Path, table: str | Path) -> dict[str, int]:
    """Read a table from a register's codes to ids of a legend's finest level.

    Args:
        legend: Name or path of the legend.
        table: ``rpg``, ``eurocrops`` or ``worldcereal``, or the path of a CSV file with columns ``code,crop``.

    Returns:
        Code -> id; 0 where the code is out of the legend's scope. Codes are text: ``NA`` and ``0123`` stay so.

    Raises:
        CropflowError: If there is no such table, a code occurs twice or has blanks around it, or a crop is
            not of the legend's finest level.
    """
    crops = read_legend(legend)
    path = _table_path(crops, str(table))
    names = {crops.name(id): id for id in crops.ids}
    result: dict[str, int] = {}
    for line, row in _rows(path, TABLE_COLUMNS):
        code, crop = row["code"], row["crop"]
        where = f"{path.name}, line {line}"
        if not code or code != code.strip():
            refuse(f"The code of {where}", code, "text without blanks around it")
        if code in result:
            raise CropflowError(f"{where}: code {code!r} has a row already; a code maps to one crop.")
        if crop != OUT_OF_SCOPE_MARK and crop not in names:
            hint = closest(crop, names)
            refuse(f"The crop of code {code!r} ({where})", crop, f"a finest crop of {crops.key!r}, or '-'", hint)
        _check_years(row, where)
        result[code] = OUT_OF_SCOPE if crop == OUT_OF_SCOPE_MARK else names[crop]
    return result


def check_legend(legend: Legend) -> None:
    """Check that a legend is a tree and that no id was renumbered since it was given out.

    The lock is the file ``ids.lock`` beside the legend (columns ``legend,id,level,name``). A legend of the
    package must be in it; one's own needs no lock.

    Raises:
        CropflowError: On the first thing that is wrong.
    """
    check_tree(legend)
    path = legend.path.with_name("ids.lock")
    if not path.exists() and legend.path.parent != FOLDER:
        return
    locked: dict[int, tuple[int, str]] = {}
    for line, row in _rows(path, LOCK_COLUMNS):
        if row["legend"] == legend.key:
            id, level = (_integer(row[column], f"{column} of {path.name}, line {line}") for column in ("id", "level"))
            if id in locked:
                raise CropflowError(f"{path.name}, line {line}: id {id} of legend {legend.key!r} is locked twice.")
            locked[id] = (level, row["name"])
    current = {crop.id: (crop.level, crop.name) for crop in legend.crops}
    for id in sorted(locked.keys() | current.keys()):
        if id not in locked:
            raise CropflowError(
                f"Id {id} ({current[id][1]!r}) of legend {legend.key!r} is not in {path.name}. Add its row."
            )
        if locked[id] != current.get(id):
            refuse(
                f"Level and name of id {id} of legend {legend.key!r}", current.get(id), locked[id],
                "Maps and models carry the ids: give new crops new ids.",
            )  # fmt: skip


def _legend_path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".csv":
        if not path.is_file():
            raise CropflowError(f"There is no legend file {str(path)!r}.")
        return path.resolve()
    if str(name_or_path) not in legend_names():
        refuse("The legend", str(name_or_path), f"one of {listing(legend_names())}, or the path of a .csv file")
    return FOLDER / f"{name_or_path}.csv"


def _table_path(legend: Legend, table: str) -> Path:
    if table.endswith(".csv"):
        if not Path(table).is_file():
            raise CropflowError(f"There is no table file {table!r}.")
        return Path(table)
    names = table_names(str(legend.path))
    if table not in names:
        shipped = listing(names) or "none"
        refuse(f"The table of legend {legend.key!r}", table, f"one of its own ({shipped}), or the path of a .csv file")
    return legend.path.with_suffix("") / f"{table}.csv"


@cache
def _packaged_legend(path: Path) -> Legend:
    return _load(path)


def _load(path: Path) -> Legend:
    crops = []
    for line, row in _rows(path, LEGEND_COLUMNS):
        where = f"of {path.name}, line {line}"
        id, level = (_integer(row[column], f"{column} {where}") for column in ("id", "level"))
        parent = _integer(row["parent"], f"parent {where}") if row["parent"] else None
        if not re.fullmatch(r"[a-z][a-z0-9_]*", row["name"]):
            refuse(f"The name {where}", row["name"], "lower-case letters, digits and underscores")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", row["colour"]):
            refuse(f"The colour {where}", row["colour"], "#rrggbb")
        red, green, blue = bytes.fromhex(row["colour"][1:])
        crops.append(Crop(id, level, row["name"], parent, (red, green, blue)))
    if not crops:
        raise CropflowError(f"Legend file {str(path)!r} has no crops.")
    legend = Legend(path.stem, tuple(sorted(crops, key=lambda crop: (crop.level, crop.id))), path)
    check_tree(legend)
    return legend


def _check_years(row: dict[str, str], where: str) -> None:
    years = [_integer(row[key], f"{key} of {where}") for key in ("first_year", "last_year") if row.get(key)]
    if years != sorted(years):
        raise CropflowError(f"{where}: first_year {years[0]} is after last_year {years[1]}.")


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file as text, with their line numbers; the file has at least these columns."""
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


def _integer(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        refuse(f"The {what}", text, "a whole number")
    return int(text)
