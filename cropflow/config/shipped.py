"""Legends and tables by name or file: those that come with the package, from their files alone, and the user's own."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "labels" / "legends"


def legend_names() -> tuple[str, ...]:
    """Names of the legends."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


def table_names(legend: str) -> tuple[str, ...]:
    """Names of the tables from registers' codes to the crops of a legend."""
    return tuple(sorted(path.stem for path in (FOLDER / legend).glob("*.csv")))


def own_file(name_or_path: str) -> bool:
    """True where the user brings a legend or a table as a file."""
    return name_or_path.endswith(".csv")


def legend_key(legend: str) -> str:
    """What results are named after: a legend's name, or that of its file without ``.csv``."""
    return Path(legend).stem if own_file(legend) else legend


def check_legend_key(legend: str) -> str:
    """Pass a legend's name or path on.

    Raises:
        ValueError: If results cannot be named after it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", legend_key(legend)):
        raise ValueError("expected the name of a legend, or the path of a .csv file named in letters, digits, _ and -")
    return legend


def own_table_path(legend: str, table: str) -> str | None:
    """The user's file of a table: named itself, or in the folder beside a legend of the user's; None for the package's.

    Args:
        legend: Name or path of the legend.
        table: Name or path of the table.
    """
    if own_file(table):
        return table
    return str(Path(legend).with_suffix("") / f"{table}.csv") if own_file(legend) else None
