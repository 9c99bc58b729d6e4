"""What a service sent, kept until the store is finished: a unit that is marked done is never fetched again.

A unit is what one request brings: some layers of a scene on a part of a site's grid. Its pixels lie in a file of their
own, written under another name first; a line of ``journal.jsonl`` marks it done and carries the hash of the file. A
process may be killed at any moment: a file without a line is fetched again, a line that is cut short is passed over,
and a file that does not match its line is told and fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cropflow.errors import CropflowError
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Layer, Request
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

# The system writes what a process has handed over even if the process dies; only a power cut loses what was not forced
# to the disk, and then the hash says so. Forcing every line would make threads wait for the disk.
SYNC_S = 1.0


@dataclass(frozen=True)
class Unit:
    """One request to a service, and where its pixels belong.

    Attributes:
        site: Name of the site.
        scene: The scene.
        grid: Grid of the part of the site.
        request: Layers and place of the part.
    """

    site: str
    scene: Scene
    grid: Grid
    request: Request

    def key(self, origin: str) -> str:
        """Name of the unit: the same pixels of the same layers have the same name, whatever plan asks for them.

        Args:
            origin: Which service and collections the scene comes from.
        """
        grid = self.grid
        place = [grid.epsg, grid.xmin, grid.ymax, grid.height, grid.width, grid.pixel_m]
        layers = [(name, self.scene.layers.get(name, "")) for name in self.request.layers]
        text = json.dumps([origin, self.scene.sensor, self.scene.source, place, layers])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return f"{', '.join(self.request.layers)} of scene {self.scene.id} at site {self.site}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the journal tells of a unit; a country has a million of them.

    Attributes:
        sha256: Hash of its file.
        sizes: Size of the pixels of each layer as read, in the order of the request.
        resampled: Whether each layer's own grid did not agree with the site's.
    """

    sha256: bytes
    sizes: tuple[int, ...]
    resampled: tuple[bool, ...]


class Ledger:
    """The units of an export that are done; safe to use from several threads, by one process at a time.

    Args:
        folder: Where units and journal lie; made where it is missing.
        origin: Which service and collections scenes come from.

    Raises:
        CropflowError: If another process writes there.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder
        self.origin = origin
        self._verified: set[str] = set()
        self._lock = threading.Lock()
        self._synced_s = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        journal = folder / "journal.jsonl"
        self._handle = os.open(journal, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise CropflowError(
                f"{folder} is being written by another export; expected none. Wait for it to end."
            ) from None
        for left in folder.glob("*/*.part"):
            left.unlink()
        self._entries = _read_journal(journal)
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync(self._handle)
        os.close(self._handle)

    def holds(self, unit: Unit) -> bool:
        """Whether a unit is done and its file is what was written; a damaged one is told, and forgotten."""
        key = unit.key(self.origin)
        if key not in self._verified and self._content(unit) is not None:
            self._verified.add(key)
        return key in self._verified

    def load(self, unit: Unit) -> dict[str, Layer] | None:
        """The layers of a unit, in the order of its request; None where it is not done, or damaged."""
        content = self._content(unit)
        if content is None:
            return None
        entry = self._entries[unit.key(self.origin)]
        stream = io.BytesIO(content)
        return {
            name: Layer(np.load(stream, allow_pickle=False), size, resampled)
            for name, size, resampled in zip(unit.request.layers, entry.sizes, entry.resampled, strict=True)
        }

    def keep(self, unit: Unit, layers: Mapping[str, Layer], seconds: float) -> None:
        """Write the layers of a unit and mark it done.

        Args:
            unit: The unit.
            layers: Its layers.
            seconds: How long it took to fetch.

        Raises:
            CropflowError: If they are not the unit's: other layers, or another shape or kind of values.
        """
        check_unit(unit, layers)
        key = unit.key(self.origin)
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("w+b") as handle:
            for name in unit.request.layers:
                np.save(handle, np.ascontiguousarray(layers[name].values), allow_pickle=False)
            # Read back from the system and not hashed in memory: large parts are not copied once more.
            handle.seek(0)
            digest = hashlib.file_digest(handle, "sha256").digest()
        os.replace(part, path)
        ordered = [layers[name] for name in unit.request.layers]
        entry = _Entry(digest, tuple(one.bytes for one in ordered), tuple(one.resampled for one in ordered))
        line = {
            "key": key,
            "scene": unit.scene.id,
            "site": unit.site,
            "layers": unit.request.layers,
            "sha256": digest.hex(),
            "sizes": entry.sizes,
            "resampled": entry.resampled,
            "nodata_shares": [nodata_share(name, layers[name]) for name in unit.request.layers],
            "seconds": round(seconds, 3),
        }
        with self._lock:
            os.write(self._handle, json.dumps(line).encode() + b"\n")
            self._entries[key] = entry
            self._verified.add(key)
            if time.monotonic() - self._synced_s > SYNC_S:
                os.fsync(self._handle)
                self._synced_s = time.monotonic()

    def _path(self, key: str) -> Path:
        # Folders of some thousand files each, also where a country has a million.
        return self.folder / key[:2] / f"{key}.npy"

    def _content(self, unit: Unit) -> bytes | None:
        key = unit.key(self.origin)
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).digest() == entry.sha256:
            return content
        LOG.warning("%s was damaged on disk and is fetched again", unit)
        with self._lock:
            self._entries.pop(key, None)
            self._verified.discard(key)
        return None


def forget(folder: Path) -> None:
    """Delete what was kept of an export: its store is finished."""
    shutil.rmtree(folder, ignore_errors=True)


def check_unit(unit: Unit, layers: Mapping[str, Layer]) -> None:
    """Refuse layers that are not what a unit asked for.

    Raises:
        CropflowError: One line with the layer, what came and what was expected.
    """
    expected = "uint16" if unit.scene.sensor == "sentinel2" else "float32"
    if set(layers) != set(unit.request.layers):
        raise CropflowError(
            f"The source sent the layers {sorted(layers)} for {unit}; expected these alone. Report it: the records and "
            "the pixels of the collection do not agree."
        )
    for name, layer in layers.items():
        found = f"{layer.values.dtype} {layer.values.shape}"
        if found != f"{expected} {unit.grid.shape}":
            raise CropflowError(
                f"Layer {name} of scene {unit.scene.id} came as {found} at site {unit.site}; expected {expected} "
                f"{unit.grid.shape}. Choose another collection: this one's pixels are not as its records say."
            )


def nodata_share(name: str, layer: Layer) -> float:
    """Share of the pixels of a layer that hold no value, [0, 1], to four digits."""
    values = layer.values
    if np.issubdtype(values.dtype, np.floating):
        empty = np.count_nonzero(np.isnan(values))
    elif name == "cloud_score":
        empty = np.count_nonzero(values == 255)
    else:
        empty = values.size - np.count_nonzero(values)
    return round(empty / values.size, 4)


def _read_journal(path: Path) -> dict[str, _Entry]:
    """Key -> the last whole line of each unit."""
    entries = {}
    torn = 0
    with path.open("rb") as handle:
        for line in handle:
            try:
                told = json.loads(line)
                entry = _Entry(bytes.fromhex(told["sha256"]), tuple(told["sizes"]), tuple(told["resampled"]))
                entries[str(told["key"])] = entry
            except (ValueError, KeyError, TypeError):
                torn += bool(line.strip())
    if torn:
        LOG.info("%d of the journal's lines were cut short by a killed process; those units are fetched again", torn)
    return entries
