"""The scenes of one site as their provider stores them: read in order, written to the site's group."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import zarr
from tqdm import tqdm

from cropflow.files.cubes import add_array, add_site
from cropflow.imagery.catalog import Decision, reasons, substitutes
from cropflow.imagery.offsets import Evidence, weigh_pixels
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sentinel2 import Pixels, Reader, read_scene
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

CHUNK = 256
EMPTY = "empty: no valid pixel inside the site"

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass
class StoredSite:
    """A site whose scenes are written.

    Attributes:
        name: Name of the site.
        reflectance: ``(scene, band, y, x)`` uint16, 0 = nodata, scenes in order of time.
        scl: ``(scene, y, x)`` uint8, 0 = nodata.
        decisions: Every scene found, those without a valid pixel dropped.
        kept: The scenes written, in the order of the arrays.
        facts: Per scene written, columns of the catalogue.
        evidence: Per scene written, what its clear pixels say about the offset.
    """

    name: str
    reflectance: zarr.Array[Any]
    scl: zarr.Array[Any]
    decisions: list[Decision] = field(default_factory=list)
    kept: list[Scene] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)


def in_order(function: Callable[[In], Out], items: Iterable[In], workers: int) -> Iterator[Out]:
    """Map in threads and in order, with at most ``workers`` results waiting, so that memory stays bounded.

    Args:
        function: What is done with an item.
        items: The items.
        workers: Threads; 1 works in the calling thread.
    """
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Out]] = deque()
        try:
            for item in items:
                if len(waiting) == workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            # After an error nothing more is read.
            for future in waiting:
                future.cancel()


def write_stored(
    store: zarr.Group,
    name: str,
    grid: Grid,
    decisions: Sequence[Decision],
    bands: tuple[str, ...],
    reader: Reader,
    workers: int,
) -> StoredSite:
    """Read the scenes taken for a site and write their stored values, offsets and all, to its group.

    Args:
        store: The store of the region.
        name: Name of the site.
        grid: The grid of the site.
        decisions: Decisions on metadata, in order of time.
        bands: Bands to write, in this order.
        reader: How layers are read.
        workers: Scenes read at once; one more is in memory.

    Returns:
        The site; a scene without a valid pixel is not written, and the best of its duplicates that has one takes its
        place.

    Raises:
        CropflowError: If a scene cannot be read or is out of range.
    """
    scenes = [decision.scene for decision in decisions if decision.kept]
    group = add_site(store, name, grid)
    frame = (len(bands), *grid.shape)
    site = StoredSite(
        name,
        add_array(
            group,
            "reflectance",
            ("scene", "band", "y", "x"),
            (len(scenes), *frame),
            np.uint16,
            chunks=(1, len(bands), CHUNK, CHUNK),
            attributes={"units": "reflectance x 10000", "nodata": 0},
        ),
        add_array(
            group,
            "scl",
            ("scene", "y", "x"),
            (len(scenes), *grid.shape),
            np.uint8,
            chunks=(1, CHUNK, CHUNK),
            attributes={"units": "scene class", "nodata": 0},
        ),
    )

    def read(scene: Scene) -> list[tuple[Scene, Pixels]]:
        """The scene, then, as long as none has a valid pixel, its duplicates."""
        tried = [(scene, read_scene(reader, scene, grid, bands))]
        for other in substitutes(scene, decisions, bands):
            if tried[-1][1].valid:
                break
            tried.append((other, read_scene(reader, other, grid, bands)))
        return tried

    verdicts: dict[int, str] = {}
    resampled = 0
    progress = tqdm(in_order(read, scenes, workers), name, len(scenes), disable=None)
    for position, tried in enumerate(progress):
        _log_tenth(name, position, len(scenes))
        verdicts |= {id(scene): "" if pixels.valid else EMPTY for scene, pixels in tried}
        scene, pixels = tried[-1]
        if pixels.valid == 0:
            continue
        site.reflectance[len(site.kept)] = pixels.reflectance
        site.scl[len(site.kept)] = pixels.scl
        site.kept.append(scene)
        share = pixels.valid / math.prod(grid.shape)
        site.facts.append({"valid_share": share, "clipped": pixels.clipped, "bytes": pixels.bytes})
        site.evidence.append(weigh_pixels(pixels.reflectance, pixels.scl, bands))
        resampled += bool(pixels.resampled)
    # The arrays were made for all scenes; the empty ones left no chunk behind.
    site.reflectance.resize((len(site.kept), *frame))
    site.scl.resize((len(site.kept), *grid.shape))
    group.attrs.update(
        {
            "bands": list(bands),
            "scenes": [scene.id for scene in site.kept],
            "times": [scene.stamp for scene in site.kept],
        }
    )
    site.decisions = [
        Decision(decision.scene, verdicts.get(id(decision.scene), decision.reason)) for decision in decisions
    ]
    _log(site, resampled)
    return site


def told(decisions: Sequence[Decision]) -> str:
    """The dropped scenes by kind of reason, in brackets; empty where none is dropped."""
    found = ", ".join(f"{kind} {count}" for kind, count in reasons(decisions).items())
    return f" (dropped: {found})" if found else ""


def _log_tenth(name: str, position: int, total: int) -> None:
    if total >= 10 and position and position * 10 // total != (position - 1) * 10 // total:
        LOG.info("site %s: read %d of %d scenes", name, position, total)


def _log(site: StoredSite, resampled: int) -> None:
    LOG.info("site %s: kept %d of %d scenes%s", site.name, len(site.kept), len(site.decisions), told(site.decisions))
    if resampled:
        LOG.warning(
            "site %s: %d of %d scenes lie in another zone or off the grid and were resampled by nearest neighbour",
            site.name, resampled, len(site.kept),
        )  # fmt: skip
    if not site.kept:
        LOG.warning("site %s has no scene: its composites will be empty", site.name)
