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
    from collections.abc import Mapping, Sequence

    import zarr

    from cropflow.composites.periods import Calendar
    from cropflow.composites.server.fetch import ServerSite
    from cropflow.composites.server.parts import PartStore
    from cropflow.composites.store import Counts
    from cropflow.config.imagery import Imagery, Series
    from cropflow.imagery.catalog import Decision
    from cropflow.imagery.choosing import Window
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
    found: Annotated[Path, typer.Option(help="Input: scenes found by `cropflow imagery find`, parquet.")],
    sites: Annotated[Path, typer.Option(help="Input: sites of the region, GeoParquet.")],
    imagery: Annotated[str, typer.Option(help="Entry of imagery, JSON; its reduce is server.")],
    settings: Annotated[str, typer.Option(help="Entry of series, JSON.")],
    season: Annotated[str, typer.Option(help="Season as JSON: start and end, inclusive, UTC; widened to periods.")],
    work: Annotated[Path, typer.Option(help="Folder that keeps fetched parts until the store is finished.")],
    catalogue: Annotated[
        Path, typer.Option(help="Output: parquet, one row per scene and site, taken or not, and why.")
    ],
    output: Annotated[
        Path,
        typer.Option(help="Output: Zarr store of composites, reflectance x 10000 per period, observations, filled."),
    ],
    requests_at_once: Annotated[
        int | None, typer.Option(min=1, max=40, help="Requests in flight, in place of the settings'.")
    ] = None,
    requests_per_second: Annotated[
        float | None, typer.Option(min=0.001, max=100, help="Requests a second, in place of the settings'.")
    ] = None,
) -> None:
    """Let Earth Engine mask and composite the scenes of a season, and fetch the composites alone.

    The result is that of `cropflow composites` on the same scenes, to the last digit: the service masks, takes the
    statistic and counts; gaps are filled here. Needs an account; a resumed run asks for no part again.
    """
    from cropflow.composites.periods import season_calendar
    from cropflow.composites.reducers import check_bands
    from cropflow.composites.server.catalogue import server_catalogue
    from cropflow.composites.server.fetch import plan_site
    from cropflow.composites.server.parts import PartStore
    from cropflow.composites.store import manifest_counts
    from cropflow.config.base import dump
    from cropflow.config.imagery import Imagery, Series
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Season
    from cropflow.config.server import refused_option
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.cubes import create_store
    from cropflow.files.manifest import write_manifest
    from cropflow.files.remote import Limits
    from cropflow.files.tables import write_table
    from cropflow.imagery.catalog import reasons
    from cropflow.imagery.found import read_found
    from cropflow.imagery.seasons import whole_months
    from cropflow.regions.sites import read_sites

    series, chosen = parse_json(Series, settings), parse_json(Imagery, imagery, "--imagery")
    dates = parse_json(Season, season, "--season")
    if chosen.reduce != "server":
        raise CropflowError(f"imagery.<name>.reduce is {chosen.reduce!r}; expected 'server' for this command.")
    refused = refused_option("<name>", series, "<name>", chosen)
    if refused:
        raise CropflowError(f"{refused}.")
    check_bands(series, chosen.bands, "imagery.<name>.bands")
    calendar = season_calendar(dates.start, dates.end, series)
    scenes, grids = read_found(found), read_sites(sites)
    decisions = _choose(scenes, grids, whole_months(dates.start, dates.end), calendar, chosen)
    kept = {name: [decision.scene for decision in judged if decision.kept] for name, judged in decisions.items()}
    planned = [plan_site(name, grid, kept[name], calendar, chosen) for name, grid in sorted(grids.items())]
    at_once = requests_at_once or chosen.requests_at_once
    parts = PartStore(work, Limits(at_once, requests_per_second or chosen.requests_per_second))
    with atomic_folder(output) as temporary:
        pixels = _write(create_store(temporary), planned, calendar, chosen, series, parts, at_once)
    write_table(catalogue, server_catalogue(decisions, chosen.assume_baseline))
    counts: dict[str, Any] = {
        "periods": [period.isoformat() for period in calendar.starts],
        "scenes_found": len(scenes),
        "sites": {
            site.name: {
                "scenes": len(kept[site.name]),
                "dropped": reasons(decisions[site.name]),
                **manifest_counts(pixels[site.name], site.grid, series),
            }
            for site in planned
        },
    }
    content = {"series": dump(series), "imagery": dump(chosen), "season": dump(dates)}
    for result in (output, catalogue):
        write_manifest(result, {"found": found, "sites": sites}, content, counts)
    log.info("fetched %d parts, %d were there from an earlier run", parts.fetched, parts.found)
    shutil.rmtree(work)


def _choose(
    scenes: Sequence[Scene], grids: Mapping[str, Grid], window: Window, calendar: Calendar, imagery: Imagery
) -> dict[str, list[Decision]]:
    """Site -> decision on every scene, those that fall into no period dropped."""
    from cropflow.composites.server.catalogue import leave_out_unseen
    from cropflow.imagery.choosing import check_taken, choose_scenes, taken
    from cropflow.imagery.stored import told

    judged = choose_scenes(imagery, "sentinel2", scenes, grids, window)
    decisions = {name: leave_out_unseen(found, calendar) for name, found in judged.items()}
    for name, found in decisions.items():
        left = sum(decision.kept for decision in found)
        log.info("site %s: kept %d of %d scenes%s", name, left, len(found), told(found))
        if not left:
            log.warning("site %s has no scene: all its composites are nodata", name)
    if not taken(decisions):
        raise CropflowError(
            f"No scene is left of {len(scenes)} found for {len(grids)} sites; expected at least one. Check the season, "
            "imagery.<name>.maximum_cloud_percent and the places of the sites."
        )
    check_taken(imagery, "sentinel2", decisions)
    return decisions


def _write(
    store: zarr.Group,
    sites: Sequence[ServerSite],
    calendar: Calendar,
    imagery: Imagery,
    series: Series,
    parts: PartStore,
    workers: int,
) -> dict[str, Counts]:
    """Write the composites of all sites; returns site -> counts of their pixels."""
    from tqdm import tqdm

    from cropflow.composites.progress import tell_periods
    from cropflow.composites.server.fetch import fetch_sites, site_parts
    from cropflow.composites.store import count_block, create_arrays, write_block

    overpasses = {site.name: [len(site.overpasses.get(index, ())) for index in range(len(calendar))] for site in sites}
    periods: dict[str, Any] = {"periods": [day.isoformat() for day in calendar.starts], "left_out": 0}
    arrays = {
        site.name: create_arrays(
            store, site.name, site.grid, imagery.bands, series, periods | {"scenes": overpasses[site.name]}
        )
        for site in sites
    }
    total: dict[str, Counts] = {}
    progress = tqdm(
        fetch_sites(sites, imagery, series, parts, workers),
        "parts",
        sum(len(site_parts(site, imagery.bands)) for site in sites),
        disable=None,
    )
    for site, part, block in progress:
        # One writer: parts and chunks may share an edge.
        rows = slice(part.row, part.row + part.height)
        columns = slice(part.column, part.column + part.width)
        write_block(arrays[site.name], (rows, columns), block)
        counts = count_block(block)
        total[site.name] = total[site.name] + counts if site.name in total else counts
    for site in sites:
        seen = [f"{count} overpasses" for count in overpasses[site.name]]
        tell_periods(site.name, calendar.starts, seen, total[site.name].pixels, site.grid)
    return total
