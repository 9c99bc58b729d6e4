"""Write the scenes of a region to the grids of its sites: read once, decide the offsets, harmonise, record."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas
import zarr
from numpy.typing import NDArray

from cropflow.imagery.catalog import Decision, substitutes
from cropflow.imagery.names import has_offset
from cropflow.imagery.offsets import Evidence, count_verdicts, decide_offset, harmonise, strongest, weigh_pixels
from cropflow.imagery.scenes import CLOUD_SCORE, HARMONISED, Scene
from cropflow.imagery.sentinel2 import BRIGHT_SHARE, BRIGHTEST, Reader, bright_share, read_scene
from cropflow.imagery.stored import EMPTY, Frame, Plane, StoredSite, catalogue, refuse_nothing, write_site
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)


def export_scenes(
    store: zarr.Group,
    sites: Mapping[str, Grid],
    decisions: Mapping[str, Sequence[Decision]],
    bands: tuple[str, ...],
    assumed_baseline: str | None,
    reader: Reader,
    workers: int = 1,
    *,
    cloud_score: bool = False,
) -> pandas.DataFrame:
    """Write the scenes taken to a store, one group per site, and record every decision.

    Stored values are written first, one scene in memory per worker and one more; when all are read, the offset of each
    scene is decided from its pixels at all sites and from the other scenes, and taken off in place.

    Args:
        store: An empty store.
        sites: Site -> grid.
        decisions: Site -> decisions on metadata, in order of time.
        bands: Bands to write, in this order.
        assumed_baseline: Baseline of scenes that carry none.
        reader: How layers are read.
        workers: Scenes read at once.
        cloud_score: Write Cloud Score+ too.

    Returns:
        The catalogue: one row per scene and site, in order of site, time and scene.

    Raises:
        CropflowError: If a scene cannot be read or is out of range, or no scene is left at any site.
    """
    written = [
        _write_stored(
            store, name, grid, decisions[name], bands, assumed_baseline, reader, workers, cloud_score=cloud_score
        )
        for name, grid in sorted(sites.items())
    ]
    refuse_nothing(written, "Check the season, imagery.<name>.maximum_cloud_percent and the places of the sites.")
    offsets = _offsets(written, assumed_baseline)
    for site in written:
        _harmonise(site, offsets)

    def own(scene: Scene, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "baseline": scene.baseline or (assumed_baseline or ""),
            "offset": facts.get("offset", 0),
            "offset_reason": facts.get("offset_reason", ""),
            "cloud_percent": scene.cloud_percent,
            "clipped": facts.get("clipped", 0),
        }

    return catalogue(written, own)


def _write_stored(
    store: zarr.Group,
    name: str,
    grid: Grid,
    decisions: Sequence[Decision],
    bands: tuple[str, ...],
    assumed_baseline: str | None,
    reader: Reader,
    workers: int,
    *,
    cloud_score: bool,
) -> StoredSite:
    """Write the scenes of a site as their provider stores them, offsets and all."""

    def read(scene: Scene) -> Frame:
        pixels = read_scene(reader, scene, grid, bands, assumed_baseline, cloud_score=cloud_score)
        planes: dict[str, NDArray[Any]] = {"reflectance": pixels.reflectance, "scl": pixels.scl}
        if pixels.cloud_score is not None:
            planes[CLOUD_SCORE] = pixels.cloud_score
        return Frame(
            planes,
            "" if pixels.valid else EMPTY,
            {
                "valid_share": pixels.valid / math.prod(grid.shape),
                "clipped": pixels.clipped,
                "bytes": pixels.bytes,
            },
            bool(pixels.resampled),
            weigh_pixels(pixels.reflectance, pixels.scl, bands),
        )

    planes: tuple[Plane, ...] = (
        Plane("reflectance", (("band", len(bands)),), np.uint16, 0, "reflectance x 10000"),
        Plane("scl", (), np.uint8, 0, "scene class"),
    )
    if cloud_score:
        planes += (Plane(CLOUD_SCORE, (), np.uint8, 255, "percent"),)
    site = write_site(
        store, name, grid, decisions, planes, read, lambda scene: substitutes(scene, decisions, bands), workers
    )
    site.group.attrs["bands"] = list(bands)
    return site


def _offsets(sites: Sequence[StoredSite], assumed: str | None) -> dict[str, tuple[int, str]]:
    """Decide the offset of every scene once, for all sites: source of the scene -> offset and reason."""
    scenes = {scene.source: scene for site in sites for scene in site.kept}
    baselines = {source: scene.baseline or (assumed or "") for source, scene in scenes.items()}
    seen: dict[str, list[Evidence]] = defaultdict(list)
    for site in sites:
        for scene, found in zip(site.kept, site.evidence, strict=True):
            seen[scene.source].append(found)
    evidence = {source: strongest(found) for source, found in seen.items()}
    consensus = {
        side: count_verdicts(evidence[source] for source in scenes if has_offset(baselines[source]) is side)
        for side in (False, True)
    }
    decided: dict[str, tuple[int, str]] = {}
    for source, scene in scenes.items():
        baseline = baselines[source]
        decided[source] = decide_offset(
            baseline,
            evidence[source],
            consensus[has_offset(baseline)],
            assumed=not scene.baseline,
            harmonised=scene.radiometry == HARMONISED,
        )
    against = [
        source
        for source, scene in scenes.items()
        if scene.radiometry != HARMONISED and (decided[source][0] != 0) != has_offset(baselines[source])
    ]
    if against:
        LOG.warning(
            "in %d of %d scenes the pixels speak against the offset that the baseline implies, and win (first: %s, %s)",
            len(against), len(scenes), scenes[against[0]].id, decided[against[0]][1],
        )  # fmt: skip
    old = [source for source, scene in scenes.items() if scene.baseline and not has_offset(scene.baseline)]
    if old and consensus[False].says_present:
        LOG.warning(
            "%d of %d scenes state a baseline before 04.00, but their pixels are as bright as with an offset; none is "
            "taken off (first: %s, %s)", len(old), len(scenes), scenes[old[0]].id, decided[old[0]][1],
        )  # fmt: skip
    LOG.info("offset of -1000 for %d of %d scenes", sum(offset != 0 for offset, _ in decided.values()), len(scenes))
    return decided


def _harmonise(site: StoredSite, offsets: Mapping[str, tuple[int, str]]) -> None:
    """Take the offsets off in place; hash and check what is then stored."""
    bright = []
    for position, scene in enumerate(site.kept):
        offset, reason = offsets[scene.source]
        values, clipped = harmonise(np.asarray(site.arrays["reflectance"][position], dtype=np.uint16), offset)
        if offset:
            site.arrays["reflectance"][position] = values
        digest = hashlib.sha256(values.astype("<u2").tobytes())
        digest.update(np.asarray(site.arrays["scl"][position], dtype=np.uint8).tobytes())
        site.facts[position] |= {
            "offset": offset,
            "offset_reason": reason,
            "clipped": site.facts[position]["clipped"] + clipped,
            "sha256": digest.hexdigest(),
        }
        if bright_share(values) > BRIGHT_SHARE:
            bright.append(scene.id)
    if bright:
        LOG.warning(
            "site %s: in %d of %d scenes more than %g %% of the values are above %d (first: %s)",
            site.name, len(bright), len(site.kept), 100 * BRIGHT_SHARE, BRIGHTEST, bright[0],
        )  # fmt: skip
