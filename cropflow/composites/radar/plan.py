"""Which scenes of a site become which bands: decided for all sites of a region at once, before a pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.radar.orbits import DAY_S, in_order, most_seen, number_passes, orbit_names, seconds
from cropflow.composites.radar.speckle import window_radius
from cropflow.composites.sources import RadarScenes
from cropflow.config.imagery import Radar
from cropflow.errors import CropflowError

POLARISATIONS = ("VV", "VH")
DIFFERENCE = "VH-VV"


@dataclass(frozen=True)
class RadarPlan:
    """What is composited at a site.

    Attributes:
        scenes: Positions of the scenes that are read, int, ``(scene,)``, in order of time.
        passes: Pass of each of them, int, ``(scene,)``.
        days: Time of each pass, days, float64, ``(pass,)``.
        orbit: Orbit of each pass, int, ``(pass,)``: an index of ``orbits``.
        period: Period of each pass, int, ``(pass,)``.
        group: Group of bands that each pass belongs to, int, ``(pass,)``.
        orbits: Names of the orbits that are read, in order.
        groups: What is appended to the bands of each group, the same at all sites: empty, or an orbit each.
        left_out: Scenes that are not read: outside the periods, or of another orbit.
        normalised: True where sigma0 is brought to one angle.
        radius: Radius of the speckle filter's window in pixels, 0 where nothing is filtered.
    """

    scenes: NDArray[np.int64]
    passes: NDArray[np.int64]
    days: NDArray[np.float64]
    orbit: NDArray[np.int64]
    period: NDArray[np.int64]
    group: NDArray[np.int64]
    orbits: tuple[str, ...]
    groups: tuple[str, ...]
    left_out: int
    normalised: bool
    radius: int

    def bands(self, radar: Radar) -> list[str]:
        """Names of the bands, in order."""
        names = (*POLARISATIONS, DIFFERENCE) if radar.difference else POLARISATIONS
        return [f"{name}_{group}" if group else name for group in self.groups for name in names]

    def passes_of(self) -> dict[str, int]:
        """Orbit -> passes that are composited."""
        return {name: int((self.orbit == index).sum()) for index, name in enumerate(self.orbits)}


def plan_sites(
    sites: Sequence[RadarScenes], periods: Mapping[str, NDArray[np.int64]], radar: Radar
) -> dict[str, RadarPlan]:
    """Choose the scenes of each site and the bands that they become.

    Args:
        sites: The sites of a region.
        periods: Site -> period of each scene, int, ``(scene,)``; scenes of a negative period are left out before
            anything else.
        radar: The settings.

    Returns:
        Site -> plan. ``best``: the orbit with the most passes at the site; ``each``: all orbits of all sites, a pair of
        bands each; ``normalised``: all orbits in one pair. gamma0 needs no normalisation: the angle is in its
        definition, and images of several tracks are averaged as they are (Small 2011,
        https://doi.org/10.1109/TGRS.2011.2120616).

    Raises:
        CropflowError: If sigma0 is to be normalised and the scenes carry no angle, or the filter's window is one pixel.
    """
    names = _names(sites)
    seen = {
        site.site: [name for name, period in zip(names[site.site], periods[site.site], strict=True) if period >= 0]
        for site in sites
    }
    all_seen = in_order(name for found in seen.values() for name in found)
    groups = all_seen if radar.orbits == "each" and all_seen else [""]
    plans = {}
    for site in sites:
        normalised = radar.orbits == "normalised" and site.radiometry == "sigma0"
        if normalised and site.times and not site.angle:
            raise CropflowError(
                f"series.<name>.radar.orbits is 'normalised', but the scenes of site {site.site} are sigma0 and carry "
                "no angle of incidence; expected a layer 'angle'. Choose best or each, or a collection that has it."
            )
        radius = window_radius(radar.speckle_window_m, site.grid.pixel_m) if radar.speckle != "none" else 0
        plans[site.site] = _plan(site, names[site.site], periods[site.site], groups, radar, normalised, radius)
    return plans


def _names(sites: Sequence[RadarScenes]) -> dict[str, list[str]]:
    """The orbit of each scene; unknown ones are told apart by all scenes of the region."""
    orbits = [orbit for site in sites for orbit in site.relative_orbits]
    found = iter(orbit_names(orbits, [time for site in sites for time in site.times]))
    return {site.site: [next(found) for _ in site.times] for site in sites}


def _plan(
    site: RadarScenes,
    names: Sequence[str],
    period: NDArray[np.int64],
    groups: Sequence[str],
    radar: Radar,
    normalised: bool,
    radius: int,
) -> RadarPlan:
    scenes = np.flatnonzero(np.asarray(period) >= 0)
    own = [names[scene] for scene in scenes.tolist()]
    times = [site.times[scene] for scene in scenes.tolist()]
    passes = number_passes(own, times)
    if radar.orbits == "best" and own:
        best = most_seen([own[scene] for scene in _firsts(passes)])
        taken = [place for place, orbit in enumerate(own) if orbit == best]
        scenes, own, times = scenes[taken], [best] * len(taken), [times[place] for place in taken]
        passes = number_passes(own, times)
    first = _firsts(passes)
    orbits = in_order(own)
    return RadarPlan(
        scenes=scenes,
        passes=passes,
        days=np.array([seconds(times[scene]) / DAY_S for scene in first], dtype=np.float64),
        orbit=np.array([orbits.index(own[scene]) for scene in first], dtype=np.int64),
        period=np.asarray(period, dtype=np.int64)[scenes[first]],
        group=np.array([groups.index(own[scene]) if groups[0] else 0 for scene in first], dtype=np.int64),
        orbits=tuple(orbits),
        groups=tuple(groups),
        left_out=len(names) - len(own),
        normalised=normalised,
        radius=radius,
    )


def _firsts(passes: NDArray[np.int64]) -> list[int]:
    """Position of the first scene of each pass."""
    return [int(place) for place in np.unique(passes, return_index=True)[1]]


def tell_orbits(plans: Mapping[str, RadarPlan]) -> str:
    """How many sites take which orbits, for the log."""
    counts = Counter(" and ".join(plan.orbits) or "none" for plan in plans.values())
    return ", ".join(f"{orbits}: {count}" for orbits, count in sorted(counts.items()))
