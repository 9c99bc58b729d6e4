"""The vintages of the French register that are known: where each is fetched, and what it holds.

The table lies beside this module. Every line is a delivery: a year, an area (``FXX`` for metropolitan France, or a
region such as ``R84``) and the form that it comes in. An address counts as ``verified`` where it stands in published
code or in a published log of downloads, and as ``derived`` where it follows from the pattern of its neighbours.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

SERVER = "https://data.geopf.fr/telechargement/download/RPG"
NATIONAL = "FXX"
TABLE = Path(__file__).parent / "rpg_vintages.csv"


@dataclass(frozen=True)
class Vintage:
    """One delivery of the register.

    Attributes:
        year: Year of the declarations.
        area: ``FXX`` or a region's code.
        version: Of the product, such as ``2.2``.
        form: ``GPKG`` or ``SHP``.
        epsg: Of the coordinates.
        layer: Name of the layer, or of the shapefile, with the parcels.
        columns: Names as the delivery spells them.
        parts: Parts that the archive comes in: 1 is a plain ``.7z``, more are ``.7z.001`` and so on; 0 is one part
            that is named ``.7z.001`` all the same.
        name: Of the archive, without its suffix; also that of its folder on the server.
        evidence: ``verified`` or ``derived``.
    """

    year: int
    area: str
    version: str
    form: str
    epsg: int
    layer: str
    columns: tuple[str, ...]
    parts: int
    name: str
    evidence: str

    @property
    def url(self) -> str:
        """Address of the archive, or of its first part."""
        return f"{SERVER}/{self.name}/{self.name}.7z{'' if self.parts == 1 else '.001'}"


@functools.cache
def vintages() -> tuple[Vintage, ...]:
    """All deliveries of the table, in its order."""
    with TABLE.open(encoding="utf-8", newline="") as handle:
        return tuple(
            Vintage(
                int(row["year"]), row["area"], row["version"], row["form"], int(row["epsg"]), row["layer"],
                tuple(row["columns"].split()), int(row["parts"]), row["name"], row["evidence"],
            )
            for row in csv.DictReader(handle)
        )  # fmt: skip


def find_vintage(year: int, area: str) -> Vintage:
    """The delivery of a year and an area.

    Raises:
        ValueError: If the table has none; the message says which it has.
    """
    years = sorted({each.year for each in vintages()})
    if year not in years:
        raise ValueError(f"vintage is {year}; the register's catalogue has {years[0]} to {years[-1]}")
    here = {each.area: each for each in vintages() if each.year == year}
    if area not in here:
        raise ValueError(f"area is {area!r}; of {year} the register's catalogue has: {', '.join(sorted(here))}")
    return here[area]
