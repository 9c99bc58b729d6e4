"""Write the Sentinel-1 scenes of a region to the grids of its sites: one direction and one radiometry per store."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas
import zarr

from cropflow.errors import CropflowError, listing
from cropflow.imagery.catalog import Decision
from cropflow.imagery.scenes import ANGLE, POLARISATIONS, Scene
from cropflow.imagery.sentinel1.pixels import NODATA, read_radar
from cropflow.imagery.sentinel2 import Reader
from cropflow.imagery.stored import Frame, Plane, StoredSite, catalogue, refuse_nothing, write_site
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)


def export_radar(
    store: zarr.Group,
    sites: Mapping[str, Grid],
    decisions: Mapping[str, Sequence[Decision]],
    reader: Reader,
    workers: int = 1,
) -> pandas.DataFrame:
    """Write the scenes taken to a store, one group per site, and record every decision.

    Per site ``backscatter (scene, band, y, x)`` int16, dB x 100, -32768 = nodata, bands VV and VH; where any scene has
    an angle of incidence, ``angle (scene, y, x)`` uint16, degrees x 100, 0 = nodata. Attributes of each group:
    ``bands``, ``scenes``, ``times``, ``relative_orbits`` (-1 unknown), ``radiometry``, ``direction``.

    Args:
        store: An empty store.
        sites: Site -> grid.
        decisions: Site -> decisions on metadata, in order of time; scenes of one direction.
        reader: How layers are read.
        workers: Scenes read at once; one more is in memory.

    Returns:
        The catalogue: one row per scene and site, in order of site, time and scene. ``border`` and ``outside`` count
        the pixels masked as border noise and as no backscatter.

    Raises:
        CropflowError: If the scenes are of several radiometries or tell none, a scene cannot be read or is in another
            unit than it says, or no scene is left at any site.
    """
    taken = list({d.scene.source: d.scene for name in sorted(sites) for d in decisions[name] if d.kept}.values())
    radiometry = check_radiometry(taken)
    with_angle = any(ANGLE in scene.layers for scene in taken)
    written = [
        _write(store, name, grid, decisions[name], with_angle, reader, workers) for name, grid in sorted(sites.items())
    ]
    refuse_nothing(written, "Check the season, imagery.<name>.relative_orbits and the places of the sites.")
    for site in written:
        site.group.attrs.update(
            {
                "bands": list(POLARISATIONS),
                "relative_orbits": [scene.relative_orbit for scene in site.kept],
                "radiometry": radiometry,
                "direction": next(iter({scene.sensor.removeprefix("sentinel1_") for scene in taken}), ""),
            }
        )
        _tell(site)
    return catalogue(
        written, lambda scene, facts: {"border": facts.get("border", 0), "outside": facts.get("outside", 0)}
    )


def check_radiometry(scenes: Sequence[Scene]) -> str:
    """Refuse scenes of which some are sigma0 and others gamma0, or whose radiometry nobody tells.

    Args:
        scenes: The scenes that would be read.

    Returns:
        Their radiometry; empty where there is no scene.

    Raises:
        CropflowError: One line that names scenes and the setting.
    """
    counts = Counter(scene.radiometry for scene in scenes)
    if counts[""]:
        scene = next(scene for scene in scenes if not scene.radiometry)
        raise CropflowError(
            f"Scene {scene.id} does not tell its radiometry ({counts['']} of {len(scenes)} scenes); expected sigma0 or "
            "gamma0. Set imagery.<name>.assume_radiometry to what its provider says."
        )
    if len(counts) > 1:
        firsts = [next(scene for scene in scenes if scene.radiometry == kind) for kind in sorted(counts)]
        told = listing(f"{counts[scene.radiometry]} of {scene.radiometry} such as {scene.id}" for scene in firsts)
        raise CropflowError(
            f"{len(scenes)} scenes mix radiometries: {told}; expected one, for the two differ by some dB. Choose "
            "imagery.<name>.relative_orbits that have one of them, or correct imagery.<name>.assume_radiometry."
        )
    return next(iter(counts), "")


def _write(
    store: zarr.Group,
    name: str,
    grid: Grid,
    decisions: Sequence[Decision],
    with_angle: bool,
    reader: Reader,
    workers: int,
) -> StoredSite:
    def read(scene: Scene) -> Frame:
        pixels = read_radar(reader, scene, grid)
        planes: dict[str, Any] = {"backscatter": pixels.backscatter}
        digest = hashlib.sha256(pixels.backscatter.astype("<i2").tobytes())
        if pixels.angle is not None:
            planes["angle"] = pixels.angle
            digest.update(pixels.angle.astype("<u2").tobytes())
        facts = {
            "valid_share": pixels.valid / math.prod(grid.shape),
            "bytes": pixels.bytes,
            "border": pixels.border,
            "outside": pixels.outside,
            "sha256": digest.hexdigest(),
        }
        return Frame(planes, pixels.fault, facts, bool(pixels.resampled))

    def stand_ins(scene: Scene) -> list[Scene]:
        return [decision.scene for decision in decisions if decision.twin is scene]

    planes = [Plane("backscatter", (("band", len(POLARISATIONS)),), np.int16, NODATA, "dB x 100")]
    if with_angle:
        planes.append(Plane("angle", (), np.uint16, 0, "degrees x 100"))
    return write_site(store, name, grid, decisions, planes, read, stand_ins, workers)


def _tell(site: StoredSite) -> None:
    for column, what in (("border", "border noise"), ("outside", "values that are no backscatter")):
        found = [int(facts[column]) for facts in site.facts if facts[column]]
        if found:
            LOG.info(
                "site %s: masked %s in %d of %d scenes, %d pixels",
                site.name, what, len(found), len(site.kept), sum(found),
            )  # fmt: skip
