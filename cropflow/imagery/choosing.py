"""Which scenes of a sensor are taken for the sites of a region, and which of their layers are read."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Mapping, Sequence

from cropflow.config.imagery import Imagery, Sensor
from cropflow.imagery import catalog
from cropflow.imagery.catalog import Decision
from cropflow.imagery.scenes import ANGLE, CLOUD_SCORE, POLARISATIONS, SCL, Scene
from cropflow.imagery.sentinel1.export import check_radiometry
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint

LOG = logging.getLogger(__name__)

Window = tuple[datetime.date, datetime.date]
# Site and source of a scene -> why its pixels are not there any more.
Gone = Mapping[tuple[str, str], str]


def wanted_layers(settings: Imagery, scene: Scene) -> tuple[str, ...]:
    """Layers that are read of a scene: bands and classes, or both polarisations and the angle where it is there."""
    if scene.sensor == "sentinel2":
        return (*settings.bands, SCL, *((CLOUD_SCORE,) if settings.cloud_score else ()))
    return (*POLARISATIONS, *((ANGLE,) if ANGLE in scene.layers else ()))


def choose_scenes(
    settings: Imagery,
    sensor: Sensor,
    found: Sequence[Scene],
    sites: Mapping[str, Grid],
    window: Window,
    gone: Gone | None = None,
) -> dict[str, list[Decision]]:
    """Decide which scenes of a sensor are taken for each site, on metadata alone.

    Args:
        settings: Entry of imagery.
        sensor: Whose scenes are judged; others among ``found`` are passed over.
        found: Scenes found.
        sites: Site -> grid.
        window: First and last day, both inclusive, UTC.
        gone: Scenes of a site whose pixels turned out to be gone: their duplicates take their place.

    Returns:
        Site -> one decision per scene, in order of time and tile.
    """
    mine = [scene for scene in found if scene.sensor == sensor]
    lost = gone or {}
    decisions: dict[str, list[Decision]] = {}
    for name, grid in sites.items():
        there = [scene for scene in mine if (name, scene.source) not in lost]
        judged = catalog.judge_scenes(
            there, footprint(grid), window, settings.maximum_cloud_percent, settings.relative_orbits
        )
        judged += [
            Decision(scene, f"gone: {lost[name, scene.source]}") for scene in mine if (name, scene.source) in lost
        ]
        decisions[name] = sorted(judged, key=lambda one: catalog.place_in_time(one.scene))
    return decisions


def taken(decisions: Mapping[str, Collection[Decision]]) -> list[Scene]:
    """Scenes taken for any site, each once."""
    found = {one.scene.source: one.scene for judged in decisions.values() for one in judged if one.kept}
    return list(found.values())


def check_taken(settings: Imagery, sensor: Sensor, decisions: Mapping[str, Collection[Decision]]) -> None:
    """Refuse scenes that lack what is read of them, before any pixel is read.

    Raises:
        CropflowError: If a Sentinel-2 scene lacks a band, the SCL, or a baseline; if Sentinel-1 scenes mix
            radiometries, or one does not tell its own.
    """
    scenes = taken(decisions)
    if sensor != "sentinel2":
        check_radiometry(scenes)
        return
    catalog.check_layers(scenes, settings.bands)
    catalog.check_baselines(scenes, settings.assume_baseline)
    catalog.check_unknown_clouds(scenes, settings.maximum_cloud_percent)
