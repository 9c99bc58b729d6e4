"""Write a register as the French one is shipped: a GeoPackage inside a 7z archive, with the same bytes every time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import py7zr
import pyogrio

from cropflow.config.sections import Season

LAYER = "PARCELLES_GRAPHIQUES"
# GDAL writes the time of writing into GeoPackages, 7z the time of the file; both get this one.
MOMENT = "2000-01-01T00:00:00.000Z"
MOMENT_SECONDS = 946_684_800


def archive_member(season: Season, epsg: int) -> str:
    """Path of the GeoPackage inside the archive: the folders of the French delivery, its CRS in their name."""
    year = season.end.year
    place = "LAMB93_FXX" if epsg == 2154 else f"UTM{epsg % 100:02d}{'S' if epsg >= 32_700 else 'N'}"
    return f"RPG/1_DONNEES_LIVRAISON_{year}/RPG_2-0__GPKG_{place}_{year}-01-01/{LAYER}.gpkg"


@contextmanager
def standing_clock() -> Iterator[None]:
    """Let GDAL write :data:`MOMENT` where it would write the time of day."""
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": MOMENT})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def write_geopackage(path: Path, parcels: geopandas.GeoDataFrame) -> None:
    """Write parcels as a GeoPackage of one layer, MultiPolygons, without a time in it."""
    with standing_clock():
        parcels.to_file(path, layer=LAYER, driver="GPKG", engine="pyogrio", geometry_type="MultiPolygon")


def write_register(folder: Path, name: str, season: Season, parcels: geopandas.GeoDataFrame) -> Path:
    """Write ``RPG_<name>.7z``.

    Args:
        folder: Existing folder, not yet under its final name.
        name: Name of the season.
        season: Its dates; the year of the last day names the delivery.
        parcels: As :class:`cropflow.simulation.register.DeclaredSeason` describes.

    Returns:
        The archive.
    """
    archive = folder / f"RPG_{name}.7z"
    with tempfile.TemporaryDirectory() as staging:
        geopackage = Path(staging) / f"{LAYER}.gpkg"
        write_geopackage(geopackage, parcels)
        geopackage.chmod(0o644)
        os.utime(geopackage, (MOMENT_SECONDS, MOMENT_SECONDS))
        with py7zr.SevenZipFile(archive, "w") as packed:
            packed.write(geopackage, archive_member(season, int(parcels.crs.to_epsg())))
    return archive
