"""Write the Sentinel-1 composites of a region to a store, site by site."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.composites.axes import Axis
from cropflow.composites.blocks import BLOCK, Window, windows
from cropflow.composites.progress import in_threads, tell_periods
from cropflow.composites.radar.blocks import composite_radar_window
from cropflow.composites.radar.kernels import NODATA
from cropflow.composites.radar.plan import RadarPlan, plan_sites, tell_orbits
from cropflow.composites.sources import RadarScenes
from cropflow.config.imagery import Series
from cropflow.files.cubes import add_array, add_site

LOG = logging.getLogger(__name__)


def write_radar(
    store: zarr.Group,
    sites: Sequence[RadarScenes],
    axes: Mapping[str, Axis],
    series: Series,
    workers: int,
) -> dict[str, Any]:
    """Composite the sites into groups of a store.

    Args:
        store: An empty store.
        sites: The sites of a region, one direction of Sentinel-1.
        axes: Site -> its periods.
        series: The settings.
        workers: Threads; each holds one block.

    Returns:
        Site -> counts for the manifest: scenes, of these left out, passes per orbit, pixels, and per period those
        without an observation, filled and left nodata, which add up.

    Raises:
        CropflowError: If the scenes lack what the settings ask for.
    """
    plans = plan_sites(sites, {name: axis.of_scenes for name, axis in axes.items()}, series.radar)
    LOG.info("relative orbits (%s) by sites: %s", series.radar.orbits, tell_orbits(plans))
    if series.radar.orbits == "normalised" and not any(plan.normalised for plan in plans.values()):
        LOG.info("gamma0 has the angle of incidence in its definition: orbits are averaged as they are")
    return {site.site: _write_site(store, site, plans[site.site], axes[site.site], series, workers) for site in sites}


def _write_site(
    store: zarr.Group,
    site: RadarScenes,
    plan: RadarPlan,
    axis: Axis,
    series: Series,
    workers: int,
) -> dict[str, Any]:
    starts = axis.calendar.starts
    if not plan.scenes.size:
        LOG.warning("site %s has no scene: all its composites are nodata", site.site)
    arrays = _create_arrays(store, site, plan, axis, series)

    def work(window: Window) -> tuple[NDArray[np.int64], int]:
        block = composite_radar_window(site.group, window, plan, axis.calendar.middles, series)
        rows, columns = window
        arrays["backscatter"][:, :, rows, columns] = block.backscatter
        arrays["observations"][:, rows, columns] = block.observations
        arrays["filled"][:, rows, columns] = block.filled
        if "orbit_observations" in arrays:
            arrays["orbit_observations"][:, :, rows, columns] = block.orbit_observations
        return block.counts(), block.without_angle

    pixels, without_angle = np.zeros((3, len(starts)), dtype=np.int64), 0
    blocks = list(windows(site.grid.shape))
    for found, lost in in_threads(work, blocks, workers, site.site):
        pixels += found
        without_angle += lost
    seen = [f"{count} passes" for count in _passes(plan, axis)]
    tell_periods(site.site, starts, seen, pixels, site.grid)
    if without_angle:
        LOG.warning(
            "site %s: %d pixels of scenes have no angle of incidence and are left out", site.site, without_angle
        )
    return {
        "scenes": len(site.times),
        "left_out": plan.left_out,
        "orbits": plan.passes_of(),
        "pixels": site.grid.height * site.grid.width,
        "without_angle": without_angle,
        "without_observation": pixels[0].tolist(),
        "filled": pixels[1].tolist(),
        "nodata": pixels[2].tolist(),
    }


def _create_arrays(
    store: zarr.Group, site: RadarScenes, plan: RadarPlan, axis: Axis, series: Series
) -> dict[str, zarr.Array[Any]]:
    bands, count = plan.bands(series.radar), len(axis.calendar)
    attributes: dict[str, Any] = {
        "bands": bands,
        **axis.attributes,
        "scenes": _passes(plan, axis),
        "left_out": plan.left_out,
        "relative_orbits": list(plan.orbits),
        "radiometry": site.radiometry,
        "direction": site.direction,
    }
    if plan.normalised:
        attributes["reference_angle_degrees"] = series.radar.reference_angle_degrees
    group = add_site(store, site.site, site.grid, attributes)
    chunks = (count, BLOCK, BLOCK)
    arrays = {
        "backscatter": add_array(
            group,
            "backscatter",
            ("period", "band", "y", "x"),
            (count, len(bands), *site.grid.shape),
            "int16",
            chunks=(count, len(bands), BLOCK, BLOCK),
            nodata=NODATA,
            attributes={"units": "dB x 100", "scale": 0.01, "nodata": NODATA},
        )
    }
    for name, dtype in (("observations", "uint8"), ("filled", "bool")):
        shape = (count, *site.grid.shape)
        arrays[name] = add_array(group, name, ("period", "y", "x"), shape, dtype, chunks=chunks)
    if plan.groups[:1] != ("",):
        arrays["orbit_observations"] = add_array(
            group,
            "orbit_observations",
            ("period", "orbit", "y", "x"),
            (count, len(plan.groups), *site.grid.shape),
            "uint8",
            chunks=(count, len(plan.groups), BLOCK, BLOCK),
            attributes={"orbits": list(plan.groups)},
        )
    return arrays


def _passes(plan: RadarPlan, axis: Axis) -> list[int]:
    """Passes that are composited in each period."""
    found: list[int] = np.bincount(plan.period, minlength=len(axis.calendar)).tolist()
    return found
