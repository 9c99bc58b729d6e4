"""Unpack the one file of an archive that is wanted, and nothing that an archive should not hold.

Supported: ``.zip``, ``.7z`` and its parts ``.7z.001``, ``.7z.002``, ... An archive comes from somewhere
else: names that lead out of the folder, links and sizes that would fill the disk are refused.
"""

from __future__ import annotations

import lzma
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

import multivolumefile
import py7zr
import py7zr.exceptions

from cropflow.errors import CropflowError, listing

VECTOR_SUFFIXES = (".gpkg", ".shp", ".geojson", ".fgb")
RASTER_SUFFIXES = (".tif", ".tiff")
# A shapefile is a set of files of one name; these carry rows, index, columns, CRS and encoding.
SHAPEFILE_SUFFIXES = (".shp", ".shx", ".dbf", ".prj", ".cpg")
# Parcels shrink some ten times; beyond this share an archive is made to fill disks.
LARGEST_RATIO = 1_000
ALWAYS_ALLOWED_BYTES = 1 << 28
_DAMAGED = (
    py7zr.exceptions.ArchiveError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError,
    NotImplementedError, UnicodeDecodeError,
)  # fmt: skip

# Names of all files of an archive -> those to unpack.
Choice = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Member:
    """An entry of an archive.

    Attributes:
        name: Path inside the archive, as stored.
        size: Unpacked size, bytes.
        is_link: True for symbolic and other links.
    """

    name: str
    size: int
    is_link: bool


def is_archive(path: Path) -> bool:
    """True for the archives that can be unpacked, by name."""
    return re.search(r"\.(zip|7z|7z\.\d{3})$", path.name.lower()) is not None


def source_files(path: Path) -> list[Path]:
    """All files that are read when this one is named: an archive's parts, a shapefile's set, or itself.

    Raises:
        CropflowError: If a part in the middle is missing.
    """
    if path.name.lower().endswith(".7z.001"):
        return _parts(path)
    if path.suffix.lower() == ".shp":
        beside = (path.with_suffix(cased) for suffix in SHAPEFILE_SUFFIXES for cased in (suffix, suffix.upper()))
        return [file for file in beside if file.is_file()]
    return [path]


def _parts(first: Path) -> list[Path]:
    stem = first.name[: -len("001")]
    numbers = sorted(
        int(file.name[len(stem) :])
        for file in first.parent.iterdir()
        if file.name.startswith(stem) and re.fullmatch(r"\d{3}", file.name[len(stem) :])
    )
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise CropflowError(
                f"Archive {stem}* has a part {number:03d} but no part {expected:03d}; fetch the missing part."
            )
    return [first.with_name(f"{stem}{number:03d}") for number in numbers]


@contextmanager
def unpacked(
    source: Path, member: str | None = None, prefer: str = "", suffixes: tuple[str, ...] = VECTOR_SUFFIXES
) -> Iterator[Path]:
    """Yield the file that a source is or holds; what was unpacked is deleted afterwards.

    Args:
        source: A file of some kind, by default of vectors, or an archive with one. It is unpacked to the folder of
            temporary files (environment variable ``TMPDIR``).
        member: Stem of the file to take where the archive holds several.
        prefer: Of several files, the only one whose name contains this, in lower case, is taken.
        suffixes: Of the files that are looked for, in lower case.

    Yields:
        The file.

    Raises:
        CropflowError: If the archive is damaged, encrypted, unsafe, too large for the disk, or does
            not hold exactly one suitable file.
    """
    if not is_archive(source):
        yield source
        return

    def with_companions(names: list[str]) -> list[str]:
        chosen = _chosen_member(source, names, member, prefer, suffixes)
        if not chosen.lower().endswith(".shp"):
            return [chosen]
        stem = PurePosixPath(chosen).with_suffix("")
        beside = [name for name in names if PurePosixPath(name).with_suffix("") == stem and name != chosen]
        return [chosen, *(name for name in beside if PurePosixPath(name).suffix.lower() in SHAPEFILE_SUFFIXES)]

    with _temporarily(source, with_companions) as (folder, names):
        yield folder / names[0]


@contextmanager
def unpacked_folder(source: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the folder that a source is or holds; what was unpacked is deleted afterwards.

    Args:
        source: A folder, or an archive; see :func:`unpacked`.
        suffixes: Of the files that are unpacked, in lower case.

    Yields:
        The folder, with the archive's folders in it.

    Raises:
        CropflowError: If the archive is damaged, encrypted, unsafe or too large for the disk.
    """
    if not (is_archive(source) and source.is_file()):
        yield source
        return
    with _temporarily(
        source, lambda names: [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]
    ) as (folder, _):
        yield folder


@contextmanager
def _temporarily(source: Path, choose: Choice) -> Iterator[tuple[Path, list[str]]]:
    """A folder with the files that are chosen by their names, and these names."""
    with tempfile.TemporaryDirectory(prefix="cropflow-") as folder:
        try:
            names = _unpack(source, Path(folder), choose)
        except py7zr.exceptions.PasswordRequired:
            # Where even the names are encrypted the archive does not open.
            raise CropflowError(f"Archive {source.name} is encrypted; expected one without a password.") from None
        except _DAMAGED as error:
            raise CropflowError(
                f"Archive {source.name} ({len(source_files(source))} file(s)) is damaged or incomplete "
                f"({type(error).__name__}: {error}); fetch it again."
            ) from None
        yield Path(folder), names


def _unpack(source: Path, folder: Path, choose: Choice) -> list[str]:
    parts = source_files(source)
    packed = sum(part.stat().st_size for part in parts)
    if source.suffix.lower() == ".zip":
        with zipfile.ZipFile(source) as zipped:
            names = _checked(source, packed, _zip_members(source, zipped), choose, folder)
            zipped.extractall(folder, members=names)
        return names
    with _joined(parts) as stream, py7zr.SevenZipFile(stream) as archive:
        if archive.needs_password():
            raise CropflowError(f"Archive {source.name} is encrypted; expected one without a password.")
        members = [
            Member(entry.filename, entry.uncompressed, entry.is_symlink)
            for entry in archive.list()
            if not entry.is_directory
        ]
        names = _checked(source, packed, members, choose, folder)
        archive.extract(path=folder, targets=names)
    return names


@contextmanager
def _joined(parts: list[Path]) -> Iterator[IO[bytes]]:
    """The parts of an archive as one stream."""
    if len(parts) == 1:
        with parts[0].open("rb") as stream:
            yield stream
    else:
        with multivolumefile.open(parts[0].with_suffix(""), mode="rb") as volumes:
            yield cast(IO[bytes], volumes)


def _zip_members(source: Path, archive: zipfile.ZipFile) -> list[Member]:
    if any(entry.flag_bits & 0x1 for entry in archive.infolist()):
        raise CropflowError(f"Archive {source.name} is encrypted; expected one without a password.")
    # The upper half of a zip entry's external attributes is its Unix mode; 0o12 in front is a link.
    return [
        Member(entry.filename, entry.file_size, entry.external_attr >> 28 == 0o12)
        for entry in archive.infolist()
        if not entry.is_dir()
    ]


def _checked(source: Path, packed: int, members: list[Member], choose: Choice, folder: Path) -> list[str]:
    """Names of the files that are chosen, once all members are checked and there is room for them."""
    for entry in members:
        path = PurePosixPath(entry.name.replace("\\", "/"))
        if entry.is_link or path.is_absolute() or ".." in path.parts or ":" in entry.name:
            what = "a link" if entry.is_link else "a name that leads out of its folder"
            raise CropflowError(f"Archive {source.name} holds {entry.name!r}, {what}; it is not unpacked.")
    names = choose([entry.name for entry in members])
    wanted = set(names)
    size = sum(entry.size for entry in members if entry.name in wanted)
    if size > max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * packed):
        raise CropflowError(
            f"Archive {source.name} would grow from {packed} to {size} bytes; expected at most {LARGEST_RATIO} times "
            f"its size. It is not unpacked."
        )
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CropflowError(
            f"Archive {source.name} needs {size / 1e9:.1f} GB in {folder.parent}, which has {free / 1e9:.1f} GB free; "
            f"point TMPDIR to a larger disk."
        )
    return names


def _chosen_member(source: Path, names: list[str], member: str | None, prefer: str, suffixes: tuple[str, ...]) -> str:
    found = sorted(name for name in names if PurePosixPath(name).suffix.lower() in suffixes)
    if not found:
        raise CropflowError(
            f"Archive {source.name} holds {listing(sorted(names)) or 'nothing'}; expected one file of "
            f"{', '.join(suffixes)}."
        )
    stems = {name: PurePosixPath(name).stem.lower() for name in found}
    named = [name for name in found if member is not None and stems[name] == member.lower()]
    preferred = [name for name in found if prefer and prefer in stems[name]]
    for candidates in (named, found, preferred):
        if len(candidates) == 1:
            return candidates[0]
    raise CropflowError(
        f"Archive {source.name} holds {len(found)} files to choose from ({listing(found)}); name one, without its "
        f"suffix, as `layer` of the register's file."
    )
