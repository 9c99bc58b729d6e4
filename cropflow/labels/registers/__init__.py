"""Registers: readers that turn a country's files into one shape of table, one module per family."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from cropflow.errors import CropflowError, listing
from cropflow.files.map_items import is_remote

if TYPE_CHECKING:
    import geopandas

    from cropflow.config.registers import Register
    from cropflow.labels.registers.stream import ParcelStream

READERS = {
    "rpg": "cropflow.labels.registers.rpg",
    "vector": "cropflow.labels.registers.vector",
    "isrc": "cropflow.labels.registers.isrc",
    "eurocrops": "cropflow.labels.registers.eurocrops",
    "raster": "cropflow.labels.registers.raster",
    "canadian_cropland": "cropflow.labels.registers.canadian_cropland",
}


class Reader(Protocol):
    """What a module in this folder offers: ``read``, or ``stream`` where a country does not fit into memory.

    It may offer more: ``files(source, season, settings)``, where its source is a folder of several files, names other
    files, or is an http(s) address; and, where all parcels are looked at in memory, ``GROUPS``, columns by which
    parcels in and out are counted beside the code, and ``findings(parcels)``, what a user should know of the parcels as
    read. A stream brings its own findings.
    """

    def read(self, source: Path | str, season: str, settings: Register) -> geopandas.GeoDataFrame:
        """Read the parcels of a season.

        Args:
            source: The register's file, or an archive that holds it; an http(s) address, of reader raster alone.
            season: Name of the season.
            settings: The register's config entry.

        Returns:
            ``parcel_id`` str, ``crop_code`` str (missing where the register has none), ``geometry``, and any further
            columns, which are carried along; in the register's CRS and the file's order.

        Raises:
            CropflowError: If the file, its layer, a column or the CRS is missing or damaged.
        """
        ...

    def stream(self, source: Path, season: str, settings: Register) -> AbstractContextManager[ParcelStream]:
        """The same, piece by piece."""
        ...


def register_file(source: Path, season: str) -> Path:
    """The file to read: the source itself, or the season's archive where the source is a simulated register.

    Args:
        source: A file, a file geodatabase (``.gdb``), or a folder with ``RPG_<season>.7z``.
        season: Name of the season.

    Raises:
        CropflowError: If there is no such file.
    """
    if source.is_file() or (source.is_dir() and source.suffix.lower() == ".gdb"):
        return source
    if not source.exists():
        raise CropflowError(f"Register file {source} does not exist; check registers.<name>.files.{season}.path.")
    inside = source / f"RPG_{season}.7z"
    if not inside.is_file():
        found = listing(sorted(path.name for path in source.iterdir())) or "nothing"
        raise CropflowError(f"Register folder {source} holds {found}; expected {inside.name}. Name a season it has.")
    return inside


@contextmanager
def open_register(source: Path | str, season: str, settings: Register) -> Iterator[ParcelStream]:
    """Read the parcels of a season, piece by piece, with the reader that the settings name.

    Args:
        source: A file, an archive (``.zip``, ``.7z``, ``.7z.001``), a simulation's register folder, or, of reader
            raster, the http(s) address of a COG.
        season: Name of the season.
        settings: The register's config entry.

    Yields:
        The parcels; they can be read once, while the context is open.

    Raises:
        CropflowError: If the file, its layer, a column or the CRS is missing or damaged.
    """
    from cropflow.labels.registers.stream import as_stream

    reader = cast(Reader, importlib.import_module(READERS[settings.reader]))
    file = _located(source, season, settings)
    if hasattr(reader, "stream"):
        with reader.stream(Path(file), season, settings) as parcels:
            yield _with_squares(parcels, settings)
    else:
        yield _with_squares(as_stream(reader.read(file, season, settings)), settings)


def _with_squares(parcels: ParcelStream, settings: Register) -> ParcelStream:
    if settings.points is None:
        return parcels
    from cropflow.labels.registers.points import with_squares

    return with_squares(parcels, settings.points.side_m)


def read_register(source: Path | str, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read the parcels of a season at once; see :func:`open_register` and :class:`Reader`."""
    from cropflow.labels.registers.stream import as_frame

    with open_register(source, season, settings) as parcels:
        return as_frame(parcels)


def register_sources(source: Path | str, season: str, settings: Register) -> list[Path]:
    """All files that are read for a season: an archive's parts, a shapefile's set, those of all crops.

    Args:
        source: As for :func:`read_register`.
        season: Name of the season.
        settings: The register's config entry.

    Raises:
        CropflowError: If there is no such file, or a part of an archive is missing.
    """
    from cropflow.labels.archives import source_files

    reader: Any = importlib.import_module(READERS[settings.reader])
    if not hasattr(reader, "files"):
        return source_files(Path(_located(source, season, settings)))
    files = reader.files(_located(source, season, settings), season, settings)
    return [part for file in files for part in source_files(file)]


def _located(source: Path | str, season: str, settings: Register) -> Path | str:
    """What the reader is given: an address, a place that it looks into itself, or the register's file."""
    if is_remote(str(source)):
        if settings.reader != "raster":
            raise CropflowError(
                f"Reader {settings.reader} needs a local file, and --source is an address; download it first."
            )
        return str(source)
    looks_itself = hasattr(importlib.import_module(READERS[settings.reader]), "files")
    return Path(source) if looks_itself else register_file(Path(source), season)


def register_groups(parcels: geopandas.GeoDataFrame, settings: Register) -> tuple[str, ...]:
    """Columns by which the parcels of a register are counted beside the code.

    Args:
        parcels: As :func:`read_register` returns them; the settings decide which columns they have.
        settings: The register's config entry.
    """
    groups = getattr(importlib.import_module(READERS[settings.reader]), "GROUPS", ())
    return tuple(name for name in groups if name in parcels.columns)


def register_findings(parcels: geopandas.GeoDataFrame, settings: Register) -> dict[str, Any]:
    """What a user should know of the parcels as read, ready for JSON, of a register that is :func:`seen_whole`.

    Args:
        parcels: As :func:`read_register` returns them.
        settings: The register's config entry.
    """
    found: dict[str, Any] = importlib.import_module(READERS[settings.reader]).findings(parcels)
    return found


def seen_whole(settings: Register) -> bool:
    """True for registers that are looked at as a whole, in memory."""
    return hasattr(importlib.import_module(READERS[settings.reader]), "findings")
