"""Names of the legends and tables that come with the package, from their files alone."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "labels" / "legends"


def legend_names() -> tuple[str, ...]:
    """Names of the legends."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


def table_names(legend: str) -> tuple[str, ...]:
    """Names of the tables from registers' codes to the crops of a legend."""
    return tuple(sorted(path.stem for path in (FOLDER / legend).glob("*.csv")))
