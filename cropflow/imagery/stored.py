"""The scenes of one site: read in order, written to the site's group, recorded; what every sensor shares."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas
import zarr
from numpy.typing import NDArray
from tqdm import tqdm

from cropflow.errors import CropflowError
from cropflow.files.cubes import add_array, add_site
from cropflow.imagery.catalog import Decision, described, reasons
from cropflow.imagery.offsets import Evidence
from cropflow.imagery.scenes import Scene
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

CHUNK = 256
EMPTY = "empty: no valid pixel inside the site"

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Plane:
    """An array of a site's group with one slice per scene.

    Attributes:
        name: Name of the array.
        axes: Name and size of the dimensions between ``scene`` and ``y, x``.
        dtype: NumPy dtype.
        nodata: Fill value.
        units: What the values are.
    """

    name: str
    axes: tuple[tuple[str, int], ...]
    dtype: type[np.generic]
    nodata: int
    units: str


@dataclass(frozen=True)
class Frame:
    """A scene as it is read for a site.

    Attributes:
        planes: Name of the plane -> its slice.
        fault: Why the scene is dropped, as ``kind: detail``; empty where it is written.
        facts: Columns of the catalogue.
        resampled: True where a layer's own grid did not agree with the site's.
        evidence: What the clear pixels say about the offset of Sentinel-2; None for Sentinel-1.
    """

    planes: Mapping[str, NDArray[Any]]
    fault: str
    facts: Mapping[str, Any]
    resampled: bool
    evidence: Evidence | None = None


@dataclass
class StoredSite:
    """A site whose scenes are written.

    Attributes:
        name: Name of the site.
        group: Its group of the store.
        arrays: Name of a plane -> its array, scenes in order of time.
        decisions: Every scene found, those with a fault dropped.
        kept: The scenes written, in the order of the arrays.
        facts: Per scene written, columns of the catalogue.
        evidence: Per scene written, what its clear pixels say about the offset; empty for Sentinel-1.
    """

    name: str
    group: zarr.Group
    arrays: dict[str, zarr.Array[Any]]
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


def write_site(
    store: zarr.Group,
    name: str,
    grid: Grid,
    decisions: Sequence[Decision],
    planes: Sequence[Plane],
    read: Callable[[Scene], Frame],
    stand_ins: Callable[[Scene], Sequence[Scene]],
    workers: int,
) -> StoredSite:
    """Read the scenes taken for a site and write them to its group.

    Args:
        store: The store of the region.
        name: Name of the site.
        grid: The grid of the site.
        decisions: Decisions on metadata, in order of time.
        planes: The arrays to write.
        read: How a scene is read.
        stand_ins: The duplicates that may take a scene's place, best first.
        workers: Scenes read at once; one more is in memory.

    Returns:
        The site; a scene with a fault is not written, and the best of its duplicates that has none takes its place.

    Raises:
        CropflowError: If a scene cannot be read or is out of range.
    """
    scenes = [decision.scene for decision in decisions if decision.kept]
    group = add_site(store, name, grid)
    site = StoredSite(name, group, {plane.name: _add_plane(group, plane, len(scenes), grid) for plane in planes})

    def try_all(scene: Scene) -> list[tuple[Scene, Frame]]:
        """The scene, then, as long as none is sound, its duplicates."""
        tried = [(scene, read(scene))]
        for other in stand_ins(scene):
            if not tried[-1][1].fault:
                break
            tried.append((other, read(other)))
        return tried

    verdicts: dict[int, str] = {}
    resampled = 0
    progress = tqdm(in_order(try_all, scenes, workers), name, len(scenes), disable=None)
    for position, tried in enumerate(progress):
        _log_tenth(name, position, len(scenes))
        verdicts |= {id(scene): frame.fault for scene, frame in tried}
        scene, frame = tried[-1]
        if frame.fault:
            continue
        for plane, values in frame.planes.items():
            site.arrays[plane][len(site.kept)] = values
        site.kept.append(scene)
        site.facts.append(dict(frame.facts))
        site.evidence += [] if frame.evidence is None else [frame.evidence]
        resampled += frame.resampled
    for array in site.arrays.values():
        # The arrays were made for all scenes; those with a fault left no chunk behind.
        array.resize((len(site.kept), *array.shape[1:]))
    group.attrs.update({"scenes": [scene.id for scene in site.kept], "times": [scene.stamp for scene in site.kept]})
    site.decisions = [
        Decision(decision.scene, verdicts.get(id(decision.scene), decision.reason)) for decision in decisions
    ]
    _log(site, resampled)
    return site


def _add_plane(group: zarr.Group, plane: Plane, scenes: int, grid: Grid) -> zarr.Array[Any]:
    names, sizes = [axis for axis, _ in plane.axes], [size for _, size in plane.axes]
    return add_array(
        group,
        plane.name,
        ("scene", *names, "y", "x"),
        (scenes, *sizes, *grid.shape),
        plane.dtype,
        chunks=(1, *sizes, CHUNK, CHUNK),
        nodata=plane.nodata,
        attributes={"units": plane.units, "nodata": plane.nodata},
    )


def refuse_nothing(sites: Sequence[StoredSite], way_out: str) -> None:
    """Refuse an export that left no scene at any site.

    Raises:
        CropflowError: One line with the reasons and what may be changed.
    """
    if any(site.kept for site in sites):
        return
    decisions = [decision for site in sites for decision in site.decisions]
    found = len({decision.scene.source for decision in decisions})
    raise CropflowError(
        f"No scene is left of {found} found for {len(sites)} sites{told(decisions)}; expected at least one. {way_out}"
    )


def catalogue(
    sites: Sequence[StoredSite], own: Callable[[Scene, Mapping[str, Any]], Mapping[str, Any]]
) -> pandas.DataFrame:
    """The catalogue of a sensor: one row per scene and site, in order of site, time and scene.

    Args:
        sites: The sites written.
        own: Scene and its facts, empty where it is dropped -> the columns that only this sensor has.
    """
    rows = []
    for site in sites:
        known = {scene.source: facts for scene, facts in zip(site.kept, site.facts, strict=True)}
        for decision in site.decisions:
            scene = decision.scene
            facts = known[scene.source] if decision.kept else {}
            rows.append(
                {
                    **described(scene, site.name),
                    **own(scene, facts),
                    # Scenes dropped on metadata were never looked at.
                    "valid_share": facts.get("valid_share", 0.0 if decision.reason == EMPTY else math.nan),
                    "bytes": facts.get("bytes", 0),
                    "sha256": facts.get("sha256", ""),
                    "source": scene.source,
                    "kept": decision.kept,
                    "reason": decision.reason,
                }
            )
    return pandas.DataFrame(rows)


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
