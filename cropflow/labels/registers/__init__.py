"""Registers: readers that turn a country's files into one shape of table, one module per family."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from cropflow.errors import CropflowError, listing

if TYPE_CHECKING:
    import geopandas

    from cropflow.config.registers import Register
    from cropflow.labels.registers.stream import ParcelStream

READERS = {"rpg": "cropflow.labels.registers.rpg", "vector": "cropflow.labels.registers.vector"}


class Reader(Protocol):
    """What a module in this folder offers: ``read``, or ``stream`` where a country does not fit into memory."""

    def read(self, source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
        """Read the parcels of a season.

        Args:
            source: The register's file, or an archive that holds it.
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
        source: A file, an archive (``.zip``, ``.7z``, ``.7z.001``) or a simulation's register folder.
        season: Name of the season.
        settings: The register's config entry.

    Yields:
        The parcels; they can be read once, while the context is open.

    Raises:
        CropflowError: If the file, its layer, a column or the CRS is missing or damaged.
    """
    from cropflow.labels.registers.stream import as_stream

    reader = cast(Reader, importlib.import_module(READERS[settings.reader]))
    file = register_file(Path(source), season)
    if hasattr(reader, "stream"):
        with reader.stream(file, season, settings) as parcels:
            yield parcels
    else:
        yield as_stream(reader.read(file, season, settings))


def read_register(source: Path | str, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read the parcels of a season at once; see :func:`open_register` and :class:`Reader`."""
    from cropflow.labels.registers.stream import as_frame

    with open_register(source, season, settings) as parcels:
        return as_frame(parcels)
