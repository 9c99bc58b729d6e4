"""Registers: readers that turn a country's files into one shape of table, one module per family."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from cropflow.errors import CropflowError, listing
from cropflow.files.map_items import ITEM_SUFFIXES, asset_files, is_remote
from cropflow.labels.archives import source_files

if TYPE_CHECKING:
    import geopandas

    from cropflow.config.registers import Register

READERS = {
    "canadian_cropland": "cropflow.labels.registers.canadian_cropland",
    "raster": "cropflow.labels.registers.raster",
    "rpg": "cropflow.labels.registers.rpg",
    "vector": "cropflow.labels.registers.vector",
}


class Reader(Protocol):
    """What a module in this folder offers."""

    def read(self, source: Path | str, season: str, settings: Register) -> geopandas.GeoDataFrame:
        """Read the parcels of a season.

        Args:
            source: The register's file, or an archive that holds it; for reader raster also an http(s) address.
            season: Name of the season.
            settings: The register's config entry.

        Returns:
            ``parcel_id`` str, ``crop_code`` str (missing where the register has none), ``geometry``,
            in the register's CRS and the file's order.

        Raises:
            CropflowError: If the file, its layer, a column or the CRS is missing or damaged.
        """
        ...


def register_file(source: Path | str, season: str, reader: str = "") -> Path | str:
    """The file to read: the source itself, or the season's archive where the source is a simulated register.

    Args:
        source: A file, a file geodatabase (``.gdb``), a folder with ``RPG_<season>.7z``, or an http(s) address, which
            is given back as it is.
        season: Name of the season.
        reader: The register's reader; only raster reads addresses.

    Raises:
        CropflowError: If there is no such file, or the reader needs one.
    """
    if is_remote(str(source)):
        if reader != "raster":
            raise CropflowError(f"Reader {reader} needs a local file; expected reader raster for an http(s) address.")
        return str(source)
    source = Path(source)
    if source.is_file() or (source.is_dir() and source.suffix.lower() == ".gdb"):
        return source
    if not source.exists():
        raise CropflowError(f"Register file {source} does not exist; check registers.<name>.files.{season}.path.")
    inside = source / f"RPG_{season}.7z"
    if not inside.is_file():
        found = listing(sorted(path.name for path in source.iterdir())) or "nothing"
        raise CropflowError(f"Register folder {source} holds {found}; expected {inside.name}. Name a season it has.")
    return inside


def files_read(source: Path | str, reader: str) -> list[Path]:
    """The local files that reading a register opens: an archive's parts, a shapefile's set, the tiles of items.

    Args:
        source: What :func:`register_file` gave.
        reader: The register's reader.

    Raises:
        CropflowError: If a part is missing, or a STAC item names no map.
    """
    if is_remote(str(source)):
        return []
    source = Path(source)
    if reader == "raster" and source.suffix.lower() in ITEM_SUFFIXES:
        return [source, *(Path(file) for file in asset_files(source) if not is_remote(file))]
    return source_files(source)


def read_register(source: Path | str, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read the parcels of a season with the reader that the settings name.

    Args:
        source: A file, an archive (``.zip``, ``.7z``, ``.7z.001``), a simulation's register folder, or the http(s)
            address of a COG.
        season: Name of the season.
        settings: The register's config entry.

    Returns:
        See :class:`Reader`.

    Raises:
        CropflowError: If the file, its layer, a column or the CRS is missing or damaged.
    """
    reader = cast(Reader, importlib.import_module(READERS[settings.reader]))
    return reader.read(register_file(source, season, settings.reader), season, settings)
