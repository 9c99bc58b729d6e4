"""Scenes as records, and the decision which of them are taken for a site, made on metadata alone."""

from __future__ import annotations

import datetime
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from cropflow.errors import CropflowError, listing
from cropflow.imagery.scenes import SCL, Scene

LOG = logging.getLogger(__name__)

# Two records of one tile are the same ground twice where they share more than this of the smaller outline; the
# granules of a split acquisition share a seam only.
SAME_GROUND = 0.5


@dataclass(frozen=True)
class Decision:
    """Whether a scene is taken for a site.

    Attributes:
        scene: The scene.
        reason: Why it is dropped, as ``kind: detail``; empty where it is taken.
        twin: The scene taken in its place, where it is dropped as a duplicate.
    """

    scene: Scene
    reason: str = ""
    twin: Scene | None = None

    @property
    def kept(self) -> bool:
        """True where the scene is taken."""
        return not self.reason


def place_in_time(scene: Scene) -> tuple[datetime.datetime, str, str, str]:
    """What scenes are sorted by: time, then tile, since every source has ids of its own."""
    return scene.time, scene.tile, scene.id, scene.source


def judge_scenes(
    scenes: Iterable[Scene],
    site: BaseGeometry,
    window: tuple[datetime.date, datetime.date],
    maximum_cloud_percent: float = 100.0,
    relative_orbits: Sequence[int] = (),
) -> list[Decision]:
    """Decide on metadata which scenes are read for a site.

    In this order: outside the season, too much cloud, not among the orbits, not over the site, duplicate. A scene whose
    metadata give no cloud share or no extent passes the filter that needs it; one whose orbit is unknown does not pass
    that for orbits.

    Args:
        scenes: The scenes found.
        site: Footprint of the site in EPSG:4326.
        window: First and last day, both inclusive, UTC.
        maximum_cloud_percent: Sentinel-2 scenes with more cloud by their metadata are dropped.
        relative_orbits: Sentinel-1 scenes of other relative orbits are dropped; none where empty.

    Returns:
        One decision per scene, in the order of :func:`place_in_time`.
    """
    decisions: list[Decision] = []
    candidates: list[Scene] = []
    for scene in sorted(scenes, key=place_in_time):
        reason = _metadata_reason(scene, site, window, maximum_cloud_percent, relative_orbits)
        if reason:
            decisions.append(Decision(scene, reason))
        else:
            candidates.append(scene)
    decisions += _without_duplicates(candidates)
    return sorted(decisions, key=lambda decision: place_in_time(decision.scene))


def _metadata_reason(
    scene: Scene,
    site: BaseGeometry,
    window: tuple[datetime.date, datetime.date],
    maximum_cloud_percent: float,
    relative_orbits: Sequence[int],
) -> str:
    start, end = window
    if not start <= scene.time.astimezone(datetime.UTC).date() <= end:
        return f"season: outside {start} to {end}"
    if scene.cloud_percent > maximum_cloud_percent:
        return f"cloud: {scene.cloud_percent:g} % by the metadata, at most {maximum_cloud_percent:g} %"
    if relative_orbits and scene.sensor != "sentinel2" and scene.relative_orbit not in relative_orbits:
        orbit = "unknown" if scene.relative_orbit < 0 else str(scene.relative_orbit)
        return f"orbit: relative orbit {orbit}, expected {listing(relative_orbits)}"
    if scene.extent is not None and not scene.extent.intersects(site):
        return "place: does not touch the site"
    return ""


def _without_duplicates(scenes: Sequence[Scene]) -> list[Decision]:
    """Keep the highest baseline, then the newest, of records of one acquisition, tile and ground.

    Records of one platform and tile within a second belong to one acquisition. Among them, those that cover other
    ground are granules of a split acquisition, and all are kept.
    """
    by_tile: dict[tuple[str, str], list[Scene]] = defaultdict(list)
    for scene in scenes:
        by_tile[scene.platform, scene.tile].append(scene)
    decisions: list[Decision] = []
    for group in by_tile.values():
        acquisition: list[Scene] = []
        for scene in group:  # in order of time
            if acquisition and (scene.time - acquisition[-1].time).total_seconds() > 1:
                decisions += _best_per_ground(acquisition)
                acquisition = []
            acquisition.append(scene)
        decisions += _best_per_ground(acquisition)
    return decisions


def _best_first(scenes: Iterable[Scene]) -> list[Scene]:
    return sorted(scenes, key=lambda scene: (scene.baseline, scene.made, scene.id), reverse=True)


def substitutes(scene: Scene, decisions: Iterable[Decision], bands: Sequence[str]) -> list[Scene]:
    """Duplicates that can stand in for a scene whose pixels turn out to be nodata, best first.

    Args:
        scene: A scene taken.
        decisions: All decisions for the site.
        bands: The bands asked for; a duplicate that lacks one, or the baseline that the scene has, is no substitute.
    """
    return _best_first(
        decision.scene
        for decision in decisions
        if decision.twin is scene
        and all(name in decision.scene.layers for name in (*bands, SCL))
        and (decision.scene.baseline or not scene.baseline)
    )


def _best_per_ground(acquisition: Sequence[Scene]) -> list[Decision]:
    kept: list[Scene] = []
    decisions: list[Decision] = []
    for scene in _best_first(acquisition):
        twin = next((other for other in kept if other.id == scene.id or _same_ground(scene, other)), None)
        if twin is None:
            kept.append(scene)
            decisions.append(Decision(scene))
        else:
            baseline = f" ({twin.baseline or 'no baseline'})" if twin.sensor == "sentinel2" else ""
            reason = f"duplicate: of {twin.id}{baseline}"
            decisions.append(Decision(scene, reason, twin))
    return decisions


def _same_ground(one: Scene, other: Scene) -> bool:
    if one.outline is None or other.outline is None:
        return True
    smaller = min(one.outline.area, other.outline.area)
    return bool(one.outline.intersection(other.outline).area > SAME_GROUND * smaller)


def check_layers(scenes: Sequence[Scene], bands: Sequence[str]) -> None:
    """Refuse scenes that lack a band asked for, before any pixel is read.

    Args:
        scenes: The scenes that would be read.
        bands: The bands asked for; the SCL is needed too.

    Raises:
        CropflowError: One line that names the first such scene, what it lacks and what it offers.
    """
    lacking = {scene.id: [name for name in (*bands, SCL) if name not in scene.layers] for scene in scenes}
    lacking = {name: missing for name, missing in lacking.items() if missing}
    if not lacking:
        return
    name, missing = next(iter(lacking.items()))
    scene = next(scene for scene in scenes if scene.id == name)
    alike = sum(other == missing for other in lacking.values())
    label = "band" if len(missing) == 1 else "bands"
    others = f" ({alike} of {len(scenes)} scenes lack the same)" if len(scenes) > 1 else ""
    if len(lacking) < len(scenes):
        way_out = f"Fetch it again, or take it away: {len(scenes) - len(lacking)} scenes have all that is asked for."
    elif missing == [SCL]:
        way_out = "Choose a collection that carries the scene classification."
    else:
        way_out = "Drop them from imagery.<name>.bands, or choose a collection that carries them."
    raise CropflowError(
        f"Scene {name} has no {label} {', '.join(missing)}{others}; it offers {listing(sorted(scene.layers), 20)}. "
        + way_out
    )


def check_baselines(scenes: Sequence[Scene], assumed: str | None) -> None:
    """Refuse scenes without a processing baseline where none is assumed.

    Raises:
        CropflowError: One line that names the setting.
    """
    without = [scene for scene in scenes if not scene.baseline]
    if without and assumed is None:
        raise CropflowError(
            f"Scene {without[0].id} carries no processing baseline ({len(without)} of {len(scenes)} scenes), which "
            "decides the offset of its values; expected one such as '02.07'. Set imagery.<name>.assume_baseline."
        )
    if without:
        LOG.info("%d of %d scenes carry no baseline and are taken for %s", len(without), len(scenes), assumed)


def check_unknown_clouds(scenes: Sequence[Scene], maximum_cloud_percent: float) -> None:
    """Warn where the filter by cloud share cannot see some scenes."""
    unknown = sum(math.isnan(scene.cloud_percent) for scene in scenes)
    if unknown and maximum_cloud_percent < 100:
        LOG.warning(
            "%d of %d scenes tell no cloud share and pass the limit of %g %%",
            unknown, len(scenes), maximum_cloud_percent,
        )  # fmt: skip


def described(scene: Scene, site: str) -> dict[str, str | int]:
    """The columns with which every catalogue begins: what a record tells of a scene at a site."""
    return {
        "scene": scene.id,
        "site": site,
        "sensor": scene.sensor,
        "time": scene.stamp,
        "platform": scene.platform,
        "tile": scene.tile,
        "relative_orbit": scene.relative_orbit,
        "radiometry": scene.radiometry,
    }


def reasons(decisions: Iterable[Decision]) -> dict[str, int]:
    """Count dropped scenes by the kind of reason, sorted by name."""
    kinds = Counter(decision.reason.partition(":")[0] for decision in decisions if not decision.kept)
    return dict(sorted(kinds.items()))
