"""``cropflow composites fetch``: composites that Earth Engine computes, fetched instead of scenes."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cropflow.errors import CropflowError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import zarr
    from numpy.typing import NDArray

    from cropflow.composites.periods import Calendar
    from cropflow.composites.server_fetch import ServerSite
    from cropflow.composites.server_parts import PartStore
    from cropflow.config.imagery import Imagery, Series
    from cropflow.imagery.scenes import Scene
    from cropflow.regions.grid import Grid

log = logging.getLogger(__name__)

# What the room does where no verb is given: `cropflow composites --scenes ...`.
VERB = "make"


class OneVerbOrMore(TyperGroup):
    """The verbs of a room, one of which need not be said."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Say it, where options follow at once."""
        verb = [VERB] if args and args[0].startswith("--") and args[0] != "--help" else []
        return super().parse_args(ctx, [*verb, *args])


def fetch(
    found: Annotated[Path, typer.Option(help="Input: scenes found by `cropflow imagery plan`, parquet.")],
    sites: Annotated[Path, typer.Option(help="Input: sites of the region, GeoParquet.")],
    imagery: Annotated[str, typer.Option(help="Entry of imagery, JSON; its reduce is server.")],
    settings: Annotated[str, typer.Option(help="Entry of series, JSON.")],
    season: Annotated[str, typer.Option(help="Season as JSON: start and end, inclusive, UTC; widened to periods.")],
    work: Annotated[Path, typer.Option(help="Folder that keeps fetched parts until the store is finished.")],
    output: Annotated[
        Path,
        typer.Option(help="Output: Zarr store of composites, reflectance x 10000 per period, observations, filled."),
    ],
) -> None:
    """Let Earth Engine mask and composite the scenes of a season, and fetch the composites alone.

    The result is that of `cropflow composites` on the same scenes, to the last digit: the service masks, takes the
    statistic and counts; gaps are filled here. Needs an account; a resumed run asks for no part again.
    """
    from cropflow.composites.periods import season_calendar
    from cropflow.composites.server_fetch import plan_site
    from cropflow.composites.server_parts import PartStore
    from cropflow.config.base import dump
    from cropflow.config.imagery import Imagery, Series
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Season
    from cropflow.config.server import refused_option
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.cubes import create_store
    from cropflow.files.manifest import write_manifest
    from cropflow.files.remote import Limits
    from cropflow.imagery.found import read_found
    from cropflow.regions.sites import read_sites

    series, chosen = parse_json(Series, settings), parse_json(Imagery, imagery, "--imagery")
    dates = parse_json(Season, season, "--season")
    if chosen.reduce != "server":
        raise CropflowError(f"imagery.<name>.reduce is {chosen.reduce!r}; expected 'server' for this command.")
    refused = refused_option("<name>", series, "<name>", chosen)
    if refused:
        raise CropflowError(f"{refused}.")
    calendar = season_calendar(dates.start, dates.end, series)
    scenes = [scene for scene in read_found(found) if scene.sensor == "sentinel2"]
    grids = read_sites(sites)
    taken = _taken(scenes, grids, (dates.start, dates.end), chosen)
    planned = [plan_site(name, grid, taken[name], calendar, chosen) for name, grid in sorted(grids.items())]
    parts = PartStore(work, Limits(chosen.requests_at_once, chosen.requests_per_second))
    with atomic_folder(output) as temporary:
        pixels = _write(create_store(temporary), planned, calendar, chosen, series, parts)
    counts: dict[str, Any] = {
        "periods": [period.isoformat() for period in calendar.starts],
        "scenes_found": len(scenes),
        "sites": {
            site.name: {
                "scenes": int(site.images.sum()),
                "after_the_cut": len(taken[site.name]) - int(site.images.sum()),
                "pixels": site.grid.height * site.grid.width,
                "without_observation": pixels[site.name][0].tolist(),
                "filled": pixels[site.name][1].tolist(),
                "nodata": pixels[site.name][2].tolist(),
            }
            for site in planned
        },
    }
    write_manifest(
        output,
        {"found": found, "sites": sites},
        {"series": dump(series), "imagery": dump(chosen), "season": dump(dates)},
        counts,
    )
    log.info("fetched %d parts, %d were there from an earlier run", parts.fetched, parts.found)
    shutil.rmtree(work)


def _taken(
    scenes: Sequence[Scene], grids: dict[str, Grid], season: tuple[Any, Any], imagery: Imagery
) -> dict[str, list[Scene]]:
    """Site -> scenes that the plan takes for it, in order of time."""
    from cropflow.imagery import catalog
    from cropflow.imagery.seasons import whole_months
    from cropflow.regions.sites import footprint

    window = whole_months(*season)
    taken = {}
    for name, grid in grids.items():
        decisions = catalog.judge_scenes(scenes, footprint(grid), window, imagery.maximum_cloud_percent)
        taken[name] = [decision.scene for decision in decisions if decision.kept]
        dropped = ", ".join(f"{kind} {count}" for kind, count in catalog.reasons(decisions).items())
        log.info(
            "site %s: %d of %d scenes%s", name, len(taken[name]), len(scenes), f" (dropped: {dropped})" * bool(dropped)
        )
        if not taken[name]:
            log.warning("site %s has no scene: all its composites are nodata", name)
    wanted = list({scene.source: scene for kept in taken.values() for scene in kept}.values())
    if not wanted:
        raise CropflowError(
            f"No scene is left of {len(scenes)} found for {len(grids)} sites; expected at least one. Check the season, "
            "imagery.<name>.maximum_cloud_percent and the places of the sites."
        )
    catalog.check_layers(wanted, imagery.bands)
    catalog.check_unknown_clouds(wanted, imagery.maximum_cloud_percent)
    return taken


def _write(
    store: zarr.Group,
    sites: Sequence[ServerSite],
    calendar: Calendar,
    imagery: Imagery,
    series: Series,
    parts: PartStore,
) -> dict[str, NDArray[np.int64]]:
    """Write the composites of all sites; returns site -> pixels ``(without observation, filled, nodata)``."""
    import numpy as np
    from tqdm import tqdm

    from cropflow.composites.server_fetch import fetch_sites, site_parts

    arrays = {site.name: _create_arrays(site, store, calendar, imagery) for site in sites}
    total = {site.name: np.zeros((3, len(calendar)), dtype=np.int64) for site in sites}
    progress = tqdm(
        fetch_sites(sites, imagery, series, parts, imagery.requests_at_once),
        "parts",
        sum(len(site_parts(site, imagery.bands)) for site in sites),
        disable=None,
    )
    for site, part, block in progress:
        # One writer: parts and chunks may share an edge.
        rows = slice(part.row, part.row + part.height)
        columns = slice(part.column, part.column + part.width)
        arrays[site.name]["reflectance"][:, :, rows, columns] = block.reflectance
        arrays[site.name]["observations"][:, rows, columns] = block.observations
        arrays[site.name]["filled"][:, rows, columns] = block.filled
        total[site.name] += block.counts()
    for site in sites:
        _log_periods(site, calendar, total[site.name])
    return total


def _create_arrays(
    site: ServerSite, store: zarr.Group, calendar: Calendar, imagery: Imagery
) -> dict[str, zarr.Array[Any]]:
    from cropflow.composites.blocks import BLOCK
    from cropflow.files.cubes import add_array, add_site

    starts = [day.isoformat() for day in calendar.starts]
    group = add_site(store, site.name, site.grid, {"bands": list(imagery.bands), "periods": starts})
    pixel, shape, chunks = ("period", "y", "x"), (len(starts), *site.grid.shape), (len(starts), BLOCK, BLOCK)
    return {
        "reflectance": add_array(
            group,
            "reflectance",
            ("period", "band", "y", "x"),
            (len(starts), len(imagery.bands), *site.grid.shape),
            "uint16",
            chunks=(len(starts), len(imagery.bands), BLOCK, BLOCK),
            attributes={"scale": 0.0001, "nodata": 0},
        ),
        "observations": add_array(group, "observations", pixel, shape, "uint8", chunks=chunks),
        "filled": add_array(group, "filled", pixel, shape, "bool", chunks=chunks),
    }


def _log_periods(site: ServerSite, calendar: Calendar, pixels: NDArray[np.int64]) -> None:
    total = site.grid.height * site.grid.width
    for index, day in enumerate(calendar.starts):
        missing, filled, nodata = (100 * int(count) / total for count in pixels[:, index])
        log.info(
            "site %s, %s: %d scenes; of %d pixels %.1f %% without an observation (%.1f %% filled, %.1f %% nodata)",
            site.name, day, site.images[index], total, missing, filled, nodata,
        )  # fmt: skip
