"""Where in a file the blocks of pixels lie: the directory of a GeoTIFF, the tile-parts of a JPEG 2000 file."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cropflow.errors import CropflowError

# Bytes of a range: the first, and one after the last.
Extent = tuple[int, int]


class ByteSource(Protocol):
    """A file of which parts are here, and others are fetched when they are asked for."""

    name: str
    size: int

    def read(self, start: int, end: int) -> bytes:
        """The bytes of a range."""

    def fetch(self, extents: Iterable[Extent]) -> None:
        """Fetch ranges in few requests."""

    def patch(self, start: int, content: bytes) -> None:
        """Change bytes of the local copy."""


@dataclass(frozen=True)
class Blocks:
    """The blocks of one raster.

    Attributes:
        height: Rows of the raster.
        width: Columns of the raster.
        block_height: Rows of a block.
        block_width: Columns of a block.
        extents: Block, numbered row by row -> where its bytes lie; none for a block that was never written.
    """

    height: int
    width: int
    block_height: int
    block_width: int
    extents: dict[int, list[Extent]]

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.block_height, self.block_width) < 1:
            raise ValueError("a raster or its blocks without pixels")

    def of_window(self, row: int, column: int, height: int, width: int) -> list[Extent]:
        """Where the bytes of the blocks lie that a window touches; the window may reach beyond the raster."""
        across = -(-self.width // self.block_width)
        found: list[Extent] = []
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + height, self.height), min(column + width, self.width)
        if top >= bottom or left >= right:
            return []
        for line in range(top // self.block_height, -(-bottom // self.block_height)):
            for place in range(left // self.block_width, -(-right // self.block_width)):
                found += self.extents.get(line * across + place, [])
        return found


def find_blocks(file: ByteSource) -> Blocks:
    """Find the blocks of a GeoTIFF (also BigTIFF) of one band, or of a JPEG 2000 file.

    Whatever GDAL needs to open the file is fetched on the way. Overviews and masks are cut off the local copy: pixels
    are read at full resolution only, and GDAL must not look where nothing was fetched.

    Raises:
        CropflowError: If the file is of another kind, or broken.
    """
    head = file.read(0, min(16, file.size))
    try:
        if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(file, head)
        if head[4:8] == b"jP  ":
            return _jp2(file)
    except (struct.error, ValueError):
        raise CropflowError(f"{file.name} is broken: its directory of blocks makes no sense. Fetch it again.") from None
    raise CropflowError(
        f"{file.name} begins with {head[:8]!r}; expected a GeoTIFF or JPEG 2000 file. Choose another collection."
    )


# TIFF 6.0 and BigTIFF: bytes of a value by its type; code of the types that offsets and counts have.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_WIDTH, _HEIGHT, _SAMPLES = 256, 257, 277
_STRIPS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
# COGs put the length of a block before it and repeat its end behind it; GDAL may look at both.
_AROUND = 4


def _tiff(file: ByteSource, head: bytes) -> Blocks:
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    # Sizes of an entry, and of the number of entries before them; an entry ends with a value or its place.
    place, entry, count = ("Q", 20, "Q") if big else ("I", 12, "H")
    inline = struct.calcsize(place)
    (start,) = struct.unpack_from(order + place, head, 8 if big else 4)
    (entries,) = struct.unpack(order + count, file.read(start, start + struct.calcsize(count)))
    first = start + struct.calcsize(count)
    directory = file.read(first, first + entries * entry + inline)
    found: dict[int, tuple[int, int, Extent]] = {}
    for position in range(0, entries * entry, entry):
        tag, kind, number = struct.unpack_from(f"{order}HH{place}", directory, position)
        length = number * _SIZES.get(kind, 0)
        begin = first + position + entry - inline
        if length > inline:
            (begin,) = struct.unpack_from(order + place, directory, position + entry - inline)
        found[tag] = (kind, number, (begin, begin + length))
    file.fetch(extent for _, _, extent in found.values())
    file.patch(first + entries * entry, b"\0" * inline)

    def values(tag: int, default: int | None = None) -> tuple[int, ...]:
        if tag not in found:
            if default is None:
                raise ValueError(tag)
            return (default,)
        kind, number, extent = found[tag]
        if kind not in _CODES or number < 1:
            raise ValueError(tag)
        return struct.unpack(f"{order}{number}{_CODES[kind]}", file.read(*extent))

    if (samples := values(_SAMPLES, 1)[0]) != 1:
        raise CropflowError(f"{file.name} has {samples} bands; expected one. Choose another collection.")
    (width,), (height,) = values(_WIDTH), values(_HEIGHT)
    tiled = _TILES in found
    starts = values(_TILES if tiled else _STRIPS)
    sizes = values(_TILE_BYTES if tiled else _STRIP_BYTES)
    extents = {
        block: [(max(begin - _AROUND, 0), min(begin + size + _AROUND, file.size))]
        for block, (begin, size) in enumerate(zip(starts, sizes, strict=True))
        if size
    }
    if tiled:
        return Blocks(height, width, values(_TILE_HEIGHT)[0], values(_TILE_WIDTH)[0], extents)
    return Blocks(height, width, min(values(_STRIP_ROWS, height)[0], height), width, extents)


# ISO 15444-1: markers of the codestream.
_SIZE, _TILE_PART, _END = 0xFF51, 0xFF90, 0xFFD9
_TILE_PART_BYTES = 12


def _jp2(file: ByteSource) -> Blocks:
    begin, end = _codestream(file)
    position = begin + 2
    geometry: tuple[int, ...] = ()
    while True:
        marker, length = struct.unpack(">HH", file.read(position, position + 4))
        if marker == _TILE_PART:
            break
        if marker == _SIZE:
            geometry = struct.unpack(">8I", file.read(position + 6, position + 38))
        if not 0xFF00 < marker < 0xFFFF or length < 2:
            raise ValueError(marker)
        position += 2 + length
    file.read(begin, position)
    right, bottom, left, top, tile_width, tile_height, tiles_left, tiles_top = geometry
    if (left, top, tiles_left, tiles_top) != (0, 0, 0, 0):
        raise ValueError(geometry)
    extents: dict[int, list[Extent]] = {}
    # Where a tile ends is told by its own header alone, so that all of them are visited.
    while position + _TILE_PART_BYTES <= end:
        marker, _, tile, length = struct.unpack(">HHHI", file.read(position, position + _TILE_PART_BYTES)[:10])
        if marker == _END:
            break
        if marker != _TILE_PART or 0 < length < _TILE_PART_BYTES:
            raise ValueError(marker)
        following = position + length if length else end
        extents.setdefault(tile, []).append((position, following))
        position = following
    file.read(max(end - 2, 0), end)
    return Blocks(bottom, right, tile_height, tile_width, extents)


def _codestream(file: ByteSource) -> Extent:
    """Where the codestream of a JPEG 2000 file lies; the boxes before and after it are fetched."""
    position = 0
    found: Extent | None = None
    while position + 8 <= file.size:
        length, kind = struct.unpack(">I4s", file.read(position, position + 8))
        head = 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(position + 8, position + 16))
            head = 16
        end = position + length if length else file.size
        if end <= position:
            raise ValueError(length)
        if kind == b"jp2c":
            found = (position + head, end)
        else:
            file.read(position, min(end, file.size))
        position = end
    if found is None:
        raise ValueError("jp2c")
    return found
