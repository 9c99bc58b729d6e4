"""Write the Sentinel-1 composites of a region to a store, site by site."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from tqdm import tqdm

from cropflow.composites.blocks import BLOCK, Window, windows
from cropflow.composites.radar import NODATA
from cropflow.composites.radar_blocks import composite_radar_window
from cropflow.composites.radar_plan import RadarPlan, plan_sites, tell_orbits
from cropflow.composites.sources import RadarScenes
from cropflow.config.imagery import Series
from cropflow.files.cubes import add_array, add_site

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SitePeriods:
    """The periods of a site.

    Attributes:
        starts: First day of each period.
        middles: Middle of each period, days, float64, ``(period,)``.
        of_scenes: Period of each scene, int, ``(scene,)``; negative: left out.
    """

    starts: Sequence[datetime.date]
    middles: NDArray[np.float64]
    of_scenes: NDArray[np.int64]


def write_radar(
    store: zarr.Group,
    sites: Sequence[RadarScenes],
    periods: Mapping[str, SitePeriods],
    series: Series,
    workers: int,
) -> dict[str, Any]:
    """Composite the sites into groups of a store.

    Args:
        store: An empty store.
        sites: The sites of a region, one direction of Sentinel-1.
        periods: Site -> its periods.
        series: The settings.
        workers: Threads; each holds one block.

    Returns:
        Site -> counts for the manifest: scenes, of these left out, passes per orbit, pixels, and per period those
        without an observation, filled and left nodata, which add up.

    Raises:
        CropflowError: If the scenes lack what the settings ask for.
    """
    plans = plan_sites(sites, {name: one.of_scenes for name, one in periods.items()}, series.radar)
    LOG.info("relative orbits (%s) by sites: %s", series.radar.orbits, tell_orbits(plans))
    if series.radar.orbits == "normalised" and not any(plan.normalised for plan in plans.values()):
        LOG.info("gamma0 has the angle of incidence in its definition: orbits are averaged as they are")
    return {
        site.site: _write_site(store, site, plans[site.site], periods[site.site], series, workers) for site in sites
    }


def _write_site(
    store: zarr.Group,
    site: RadarScenes,
    plan: RadarPlan,
    periods: SitePeriods,
    series: Series,
    workers: int,
) -> dict[str, Any]:
    starts = periods.starts
    if not plan.scenes.size:
        LOG.warning("site %s has no scene: all its composites are nodata", site.site)
    arrays = _create_arrays(store, site, plan, starts, series)

    def work(window: Window) -> tuple[NDArray[np.int64], int]:
        block = composite_radar_window(site.group, window, plan, periods.middles, series)
        rows, columns = window
        arrays["backscatter"][:, :, rows, columns] = block.backscatter
        arrays["observations"][:, rows, columns] = block.observations
        arrays["filled"][:, rows, columns] = block.filled
        if "orbit_observations" in arrays:
            arrays["orbit_observations"][:, :, rows, columns] = block.orbit_observations
        return block.counts(), block.without_angle

    pixels, without_angle = np.zeros((3, len(starts)), dtype=np.int64), 0
    blocks = list(windows(site.grid.shape))
    with ThreadPoolExecutor(workers) as pool:
        try:
            for found, lost in tqdm(pool.map(work, blocks), total=len(blocks), desc=site.site, disable=None):
                pixels += found
                without_angle += lost
        except BaseException:
            # What waits in the queue would only delay the message.
            pool.shutdown(cancel_futures=True)
            raise
    total = site.grid.height * site.grid.width
    _tell(site.site, starts, plan, pixels, total)
    if without_angle:
        LOG.warning(
            "site %s: %d pixels of scenes have no angle of incidence and are left out", site.site, without_angle
        )
    return {
        "scenes": len(site.times),
        "left_out": plan.left_out,
        "orbits": plan.passes_of(),
        "pixels": total,
        "without_angle": without_angle,
        "without_observation": pixels[0].tolist(),
        "filled": pixels[1].tolist(),
        "nodata": pixels[2].tolist(),
    }


def _create_arrays(
    store: zarr.Group, site: RadarScenes, plan: RadarPlan, starts: Sequence[datetime.date], series: Series
) -> dict[str, zarr.Array[Any]]:
    bands, count = plan.bands(series.radar), len(starts)
    attributes: dict[str, Any] = {
        "bands": bands,
        "periods": [day.isoformat() for day in starts],
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


def _tell(site: str, starts: Sequence[datetime.date], plan: RadarPlan, pixels: NDArray[np.int64], total: int) -> None:
    for index, day in enumerate(starts):
        missing, filled, nodata = (100 * int(count) / total for count in pixels[:, index])
        LOG.info(
            "site %s, period from %s: %d passes; of %d pixels %.1f %% without an observation (%.1f %% filled, %.1f %% "
            "nodata)",
            site, day, int((plan.period == index).sum()), total, missing, filled, nodata,
        )  # fmt: skip
