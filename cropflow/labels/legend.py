"""Legends: a hierarchy of crops as data, and the tables that map a register's codes to it.

A legend is a CSV file with the columns ``id,level,name,parent,colour``. Level 1 is the coarsest; every crop but
those of level 1 names the id of its parent, one level coarser. Ids of all levels share one number space and are
never renumbered: maps, models and stored matrices carry them. ``legends/ids.lock`` holds what was given out.

Tables lie in the folder of the same name beside the legend's file; :mod:`cropflow.labels.tables` says what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from cropflow.config.shipped import own_file, own_table_path
from cropflow.errors import CropflowError, listing, refuse
from cropflow.labels.hierarchy import Crop, Legend, check_tree
from cropflow.labels.rows import read_rows, whole_number
from cropflow.labels.tables import Code, read_codes

__all__ = [
    "Crop",
    "Legend",
    "check_legend",
    "legend_names",
    "read_code_table",
    "read_legend",
    "read_table",
    "table_names",
    "table_path",
    "tables_that_know",
]

FOLDER = Path(__file__).parent / "legends"
LEGEND_COLUMNS = ("id", "level", "name", "parent", "colour")
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
        table: Name of one of the legend's own tables, or the path of a CSV file with columns ``code,crop``.

    Returns:
        Code -> id; 0 where the code is out of the legend's scope, 65534 where it is ignored. Codes are text:
        ``NA`` and ``0123`` stay so.

    Raises:
        CropflowError: If there is no such table, or its file is no table of this legend.
    """
    return {code: found.crop for code, found in read_code_table(legend, table).items()}


def read_code_table(legend: str | Path, table: str | Path) -> dict[str, Code]:
    """Read a table with the years of its codes; arguments and errors as of :func:`read_table`."""
    crops = read_legend(legend)
    return read_codes(table_path(legend, table), {crops.name(id): id for id in crops.ids}, crops.key)


def tables_that_know(legend: str | Path, codes: Collection[str]) -> dict[str, int]:
    """How many of some codes each table beside a legend has; arguments and errors as of :func:`read_table`."""
    return {name: len(set(codes) & set(read_code_table(legend, name))) for name in table_names(str(legend))}


def table_path(legend: str | Path, table: str | Path) -> Path:
    """The file of a table; arguments and errors as of :func:`read_table`."""
    if str(table).endswith(".csv"):
        if not Path(table).is_file():
            raise CropflowError(f"There is no table file {str(table)!r}.")
        return Path(table)
    path = _legend_path(legend)
    names = table_names(str(path))
    if str(table) not in names:
        shipped = listing(names) or "none"
        refuse(
            f"The table of legend {path.stem!r}", str(table), f"one of its own ({shipped}), or the path of a .csv file"
        )
    return path.with_suffix("") / f"{table}.csv"


def own_files(legend: str, table: str) -> dict[str, Path]:
    """Files of the user's own that a mapping reads, by role: they count by their content, wherever they lie.

    Args:
        legend: Name or path of the legend.
        table: Name or path of the table.
    """
    own = {"legend": legend if own_file(legend) else None, "table": own_table_path(legend, table)}
    return {role: Path(place) for role, place in own.items() if place is not None}


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
    for line, row in read_rows(path, LOCK_COLUMNS):
        if row["legend"] == legend.key:
            id, level = (
                whole_number(row[column], f"{column} of {path.name}, line {line}") for column in ("id", "level")
            )
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


@cache
def _packaged_legend(path: Path) -> Legend:
    return _load(path)


def _load(path: Path) -> Legend:
    crops = []
    for line, row in read_rows(path, LEGEND_COLUMNS):
        where = f"of {path.name}, line {line}"
        id, level = (whole_number(row[column], f"{column} {where}") for column in ("id", "level"))
        parent = whole_number(row["parent"], f"parent {where}") if row["parent"] else None
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
