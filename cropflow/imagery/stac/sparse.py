"""The parts of remote rasters that a site needs, in local files of the same size: fetched once, in few requests."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.imagery.stac.blocks import Blocks, Extent, find_blocks
from cropflow.imagery.stac.web import Signer, Web

# The directory of a COG of a Sentinel-2 tile is 10 to 20 KiB, that of a Sentinel-1 frame 40 to 60 KiB.
HEAD = 64 * 1024
# Ranges closer than this are one request: a request costs more than the bytes between them.
GAP = 64 * 1024
# Longer ranges are cut, so that what a broken connection loses stays small.
LONGEST = 16 * 1024**2
# Files whose heads are remembered, for the other sites of the same scenes: all layers of a year of them.
REMEMBERED = 2048
# Linux names the open files of a process, those in memory too.
DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True)
class _Head:
    """What was fetched of a file to find its blocks."""

    size: int
    pieces: list[tuple[int, bytes]]
    blocks: Blocks


class SparseFile:
    """A local file of the size of a remote one, with holes where nothing was fetched.

    Attributes:
        name: The address, fit for a message.
        path: The local file.
        size: Bytes of the remote file.
    """

    def __init__(self, web: Web, signer: Signer, address: str, path: Path, descriptor: int) -> None:
        self.name = str(public(address))
        self.path = path
        self.size = 0
        self._web = web
        self._signer = signer
        self._address = address
        self._descriptor = descriptor
        self._known: list[Extent] = []
        # What was written so far, in order; None once nobody asks for it any more.
        self.pieces: list[tuple[int, bytes]] | None = []

    def start(self) -> None:
        """Fetch the first bytes, which tell how many there are."""
        part = self._web.part(self._address, 0, HEAD, self._signer)
        self.resize(part.size)
        self.put(0, part.content)

    def resize(self, size: int) -> None:
        """Give the local file the size of the remote one."""
        self.size = size
        os.ftruncate(self._descriptor, size)

    def put(self, start: int, content: bytes) -> None:
        """Keep bytes where they belong."""
        self.patch(start, content)
        self._known = _joined([*self._known, (start, start + len(content))])

    def patch(self, start: int, content: bytes) -> None:
        """Change bytes that are here."""
        os.pwrite(self._descriptor, content, start)
        if self.pieces is not None:
            self.pieces.append((start, content))

    def read(self, start: int, end: int) -> bytes:
        """The bytes of a range, fetched where they are not here yet; fewer at the end of the file."""
        end = min(end, self.size)
        if start >= end:
            return b""
        self.fetch([(start, end)])
        return os.pread(self._descriptor, end - start, start)

    def fetch(self, extents: Iterable[Extent]) -> None:
        """Fetch what is not here yet of some ranges, neighbours together.

        Raises:
            CropflowError, GoneError, TransientError: As :meth:`cropflow.imagery.stac.web.Web.part`.
        """
        inside = [(max(start, 0), min(end, self.size)) for start, end in extents]
        missing = _joined(hole for extent in inside for hole in self._holes(extent))
        for start, end in self._bridged(missing):
            for begin in range(start, end, LONGEST):
                part = self._web.part(self._address, begin, min(begin + LONGEST, end), self._signer)
                if part.size != self.size:
                    raise CropflowError(
                        f"{self.name} changed while it was read, from {self.size} to {part.size} bytes. Run the same "
                        "command again."
                    )
                self.put(begin, part.content)

    def _holes(self, extent: Extent) -> list[Extent]:
        start, end = extent
        holes = []
        for known_start, known_end in self._known:
            if known_end <= start:
                continue
            if known_start >= end:
                break
            if known_start > start:
                holes.append((start, known_start))
            start = known_end
        return [*holes, (start, end)] if start < end else holes

    def _bridged(self, holes: list[Extent]) -> list[Extent]:
        """Holes that lie close together as one, but never over bytes that are here."""
        found: list[Extent] = []
        for start, end in holes:
            before = found[-1][1] if found else -1
            near = found and start - before <= GAP
            if near and not any(known[0] < start and known[1] > before for known in self._known):
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found


class SparseFiles:
    """The remote rasters of a source; what was fetched to find the blocks of one is remembered for other sites.

    Args:
        web: Who asks.
        signer: Who signs.
    """

    def __init__(self, web: Web, signer: Signer) -> None:
        self._web = web
        self._signer = signer
        self._lock = threading.Lock()
        self._heads: OrderedDict[str, _Head] = OrderedDict()

    @contextmanager
    def opened(self, address: str) -> Iterator[tuple[SparseFile, Blocks]]:
        """A raster whose directory is here, and its blocks, still to be fetched; the local file ends with the block.

        Raises:
            CropflowError, GoneError, TransientError: As :meth:`cropflow.imagery.stac.web.Web.part`, and if the file is
                no raster of one band.
        """
        with _local_file() as (path, descriptor):
            file = SparseFile(self._web, self._signer, address, path, descriptor)
            yield file, self._blocks(file, address)

    def _blocks(self, file: SparseFile, address: str) -> Blocks:
        with self._lock:
            head = self._heads.get(address)
        if head is None:
            file.start()
            blocks = find_blocks(file)
            with self._lock:
                self._heads[address] = _Head(file.size, file.pieces or [], blocks)
                while len(self._heads) > REMEMBERED:
                    self._heads.popitem(last=False)
        else:
            blocks = head.blocks
            file.resize(head.size)
            for start, content in head.pieces:
                file.put(start, content)
        file.pieces = None
        return blocks


@contextmanager
def _local_file() -> Iterator[tuple[Path, int]]:
    """An empty file with a path: in memory where the system has such files, else in the folder of temporary files."""
    if hasattr(os, "memfd_create") and DESCRIPTORS.is_dir():
        descriptor = os.memfd_create("cropflow")
        try:
            yield DESCRIPTORS / str(descriptor), descriptor
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(prefix="cropflow-") as local:
            yield Path(local.name), local.fileno()


def _joined(extents: Iterable[Extent]) -> list[Extent]:
    """Ranges in order, those that overlap or touch as one, empty ones left out."""
    found: list[Extent] = []
    for start, end in sorted(extents):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
