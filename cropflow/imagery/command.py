"""``cropflow imagery``: find scenes, say what they cost, and write them to the site grids."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cropflow.imagery.preview.command import preview

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas
    import zarr

    from cropflow.config.imagery import Imagery, Sensor
    from cropflow.config.sections import Season
    from cropflow.imagery.catalog import Decision
    from cropflow.imagery.choosing import Window
    from cropflow.imagery.sentinel2 import Reader
    from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Find scenes, say what they cost, and write them to the site grids.",
)

app.command()(preview)

Sites = Annotated[Path, typer.Option(help="Sites of the region, GeoParquet.")]
Settings = Annotated[str, typer.Option(help="Entry of imagery, as JSON.")]
Dates = Annotated[str, typer.Option(help='First and last day, as JSON: {"start": "...", "end": "..."}.')]
Place = Annotated[
    Path | None,
    typer.Option(help="Item collection, archive folder that holds one, or folder of SAFE; none for a service."),
]
AtOnce = Annotated[int | None, typer.Option(min=1, max=40, help="Requests in flight, in place of the settings'.")]
PerSecond = Annotated[
    float | None, typer.Option(min=0.001, max=100, help="Requests a second, in place of the settings'.")
]
Pace_ = Annotated[Path | None, typer.Option(help="JSON that keeps how fast services answered, from run to run.")]
Sensor_ = Annotated[str, typer.Option("--sensor", help="sentinel2, sentinel1_ascending or sentinel1_descending.")]


@app.command()
def find(
    sensor: Sensor_,
    sites: Sites,
    settings: Settings,
    season: Dates,
    output: Annotated[Path, typer.Option(help="Scenes found, parquet; plan and export read them.")],
    source: Place = None,
    requests_at_once: AtOnce = None,
    requests_per_second: PerSecond = None,
) -> None:
    """Find the scenes of a sensor in a season; no pixel is read. The season is widened to whole months (UTC)."""
    from cropflow.config.base import dump
    from cropflow.errors import CropflowError
    from cropflow.files.manifest import write_manifest
    from cropflow.files.remote import GoneError, Limits, TransientError
    from cropflow.imagery.choosing import check_taken, choose_scenes, taken
    from cropflow.imagery.found import write_found
    from cropflow.imagery.opening import local_files, open_source
    from cropflow.regions.sites import read_sites

    chosen, dates, window = _parsed(settings, season, requests_at_once, requests_per_second)
    known = _known(sensor, chosen)
    grids = read_sites(sites)
    limits = Limits(chosen.requests_at_once, chosen.requests_per_second)
    origin = open_source(chosen, source, limits)
    try:
        scenes = origin.find(known, grids, window)
    except (TransientError, GoneError) as error:
        raise CropflowError(
            f"The search for scenes of {known} did not succeed ({error}); expected an answer of source "
            f"{chosen.source}. Run again, and where it says the same check imagery.<name>.collections."
        ) from None
    LOG.info("found %d scenes of %s%s", len(scenes), known, f" in {source}" if source else "")
    decisions = choose_scenes(chosen, known, scenes, grids, window)
    check_taken(chosen, known, decisions)
    wanted = taken(decisions)
    write_found(output, scenes)
    write_manifest(
        output,
        inputs={"sites": sites} | local_files(chosen, known, source, wanted),
        settings={"imagery": dump(chosen), "season": dump(dates)},
        counts={"found": len(scenes), "wanted": len(wanted)},
    )


@app.command()
def plan(
    sites: Sites,
    settings: Settings,
    season: Dates,
    found: Annotated[list[Path], typer.Option(help="Scenes found of each sensor, parquet; may be repeated.")],
    output: Annotated[
        Path, typer.Option(help="Scenes, requests and bytes per sensor and site, time, cost and disk in all, JSON.")
    ],
    pace: Pace_ = None,
    series: Annotated[
        list[str] | None,
        typer.Option(help="Entry of series that Earth Engine composites, as JSON; may be repeated, else months."),
    ] = None,
) -> None:
    """Say what an export would bring and cost, judged on metadata alone; nothing is asked of the service.

    A plan that exceeds the budget of the settings, or the free disk, is refused and not written.
    """
    import shutil

    from cropflow.config.base import dump
    from cropflow.config.imagery import Series
    from cropflow.config.root import parse_json
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.remote import Limits
    from cropflow.imagery.choosing import choose_scenes
    from cropflow.imagery.fetching.budget import check_budget, check_disk
    from cropflow.imagery.fetching.pace import Pace, origin_of, read_pace
    from cropflow.imagery.fetching.planning import plan_export
    from cropflow.imagery.found import read_found
    from cropflow.imagery.opening import asks_service, open_source
    from cropflow.regions.sites import read_sites

    chosen, dates, window = _parsed(settings, season)
    grids = read_sites(sites)
    scenes = [scene for file in found for scene in read_found(file)]
    decisions = {sensor: choose_scenes(chosen, sensor, scenes, grids, window) for sensor in chosen.sensors}
    limits = Limits(chosen.requests_at_once, chosen.requests_per_second)
    origin = open_source(chosen, None, limits) if asks_service(chosen) else None
    known = read_pace(pace, origin_of(chosen)) if pace else Pace()
    wanted = [parse_json(Series, text, "--series") for text in series or ()]
    made = plan_export(chosen, decisions, grids, window, origin, known, wanted)
    output.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output.parent).free
    for line in made.table():
        LOG.info("%s", line)
    if origin is not None:
        units = "" if made.eecu_hours is None else f", {made.eecu_hours:.2f} EECU-hours"
        LOG.info("about %.0f minutes%s", made.minutes, units)
    LOG.info("disk: %.2f GB until it is finished, %.2f GB in the end, %.2f GB free",
             made.work_bytes / 1e9, made.store_bytes / 1e9, free / 1e9)  # fmt: skip
    check_budget(made, chosen)
    check_disk(made, free)
    content = {"window": [day.isoformat() for day in window], **made.content(), "budget": dump(chosen.budget)}
    write_json(output, content)
    write_manifest(
        output,
        inputs={"sites": sites} | {f"found {file.stem}": file for file in found},
        settings={"imagery": dump(chosen), "season": dump(dates), "series": [dump(one) for one in wanted]},
        counts=content["total"],
    )


@app.command()
def export(
    sensor: Sensor_,
    sites: Sites,
    settings: Settings,
    season: Dates,
    found: Annotated[Path, typer.Option(help="Scenes found of the sensor, parquet.")],
    work: Annotated[Path, typer.Option(help="Folder that keeps what a service sent until the store is finished.")],
    catalogue: Annotated[
        Path, typer.Option(help="Catalogue, parquet: one row per scene and site, taken or not, and why.")
    ],
    completeness: Annotated[Path, typer.Option(help="Scenes wanted, arrived and gone, per month and site, JSON.")],
    output: Annotated[
        Path,
        typer.Option(help="Zarr per site: reflectance x 10000 (uint16, 0 = nodata) and SCL, or backscatter in dB."),
    ],
    source: Place = None,
    requests_at_once: AtOnce = None,
    requests_per_second: PerSecond = None,
    pace: Pace_ = None,
    workers: Annotated[int, typer.Option(min=1, help="Scenes read at once; each is held in memory.")] = 1,
) -> None:
    """Write the scenes of one sensor to the grids of a region's sites.

    Reflectance is harmonised: the offset of baselines from 04.00 on is taken off, 0 is nodata and stays 0, values that
    the offset would bring to 0 or below become 1 and are counted.
    """
    from cropflow.config.base import dump
    from cropflow.files.atomic import atomic_folder, write_json
    from cropflow.files.cubes import create_store
    from cropflow.files.manifest import write_manifest
    from cropflow.files.remote import Limits
    from cropflow.files.tables import write_table
    from cropflow.imagery.choosing import taken
    from cropflow.imagery.fetching.collecting import Order, collect_local, collect_remote
    from cropflow.imagery.fetching.ledger import Ledger, forget
    from cropflow.imagery.fetching.pace import origin_of, write_pace
    from cropflow.imagery.found import read_found
    from cropflow.imagery.opening import local_files, open_source
    from cropflow.regions.sites import read_sites

    chosen, dates, window = _parsed(settings, season, requests_at_once, requests_per_second)
    known = _known(sensor, chosen)
    grids = read_sites(sites)
    limits = Limits(chosen.requests_at_once, chosen.requests_per_second)
    origin = open_source(chosen, source, limits)
    order = Order(chosen, known, read_found(found), grids, window)

    def write(decisions: Mapping[str, Sequence[Decision]], reader: Reader) -> pandas.DataFrame:
        with atomic_folder(output) as folder:
            return _write(create_store(folder), known, chosen, grids, decisions, reader, workers)

    if origin.remote:
        with Ledger(work, origin_of(chosen)) as ledger:
            done = collect_remote(order, origin, ledger, limits, write)
        for one in done.fetches:
            if pace:
                write_pace(pace, origin_of(chosen), one.requests, one.bytes, one.seconds, chosen.requests_at_once)
    else:
        done = collect_local(order, origin, write)
    write_table(catalogue, done.table)
    write_json(completeness, done.completeness.content())
    written = set(done.table["source"][done.table["kept"]])
    read = [*taken(done.planned), *(scene for scene in order.scenes if scene.source in written)]
    counts = _counts(len(order.scenes), done.table)
    for result in (output, catalogue, completeness):
        write_manifest(
            result,
            inputs={"sites": sites, "found": found} | local_files(chosen, known, source, read),
            settings={"imagery": dump(chosen), "season": dump(dates)},
            counts=counts,
        )
    # Only now: until store and manifests are there, another run must find what was fetched.
    forget(work)


def _parsed(
    settings: str, season: str, at_once: int | None = None, per_second: float | None = None
) -> tuple[Imagery, Season, Window]:
    """The settings, with the pace of the command line in place of theirs; the season as it is, and in whole months."""
    from cropflow.config.imagery import Imagery
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Season
    from cropflow.imagery.seasons import whole_months

    chosen = parse_json(Imagery, settings)
    pace = {"requests_at_once": at_once, "requests_per_second": per_second}
    chosen = chosen.model_copy(update={name: value for name, value in pace.items() if value is not None})
    dates = parse_json(Season, season, "--season")
    return chosen, dates, whole_months(dates.start, dates.end)


def _known(sensor: str, settings: Imagery) -> Sensor:
    from cropflow.errors import listing, refuse

    for known in settings.sensors:
        if known == sensor:
            return known
    refuse("--sensor", sensor, f"one of imagery.<name>.sensors: {listing(settings.sensors)}")


def _write(
    store: zarr.Group,
    sensor: Sensor,
    settings: Imagery,
    grids: Mapping[str, Grid],
    decisions: Mapping[str, Sequence[Decision]],
    reader: Reader,
    workers: int,
) -> pandas.DataFrame:
    """Write the scenes of a sensor; returns its catalogue."""
    if sensor == "sentinel2":
        from cropflow.imagery.export import export_scenes

        return export_scenes(
            store,
            grids,
            decisions,
            settings.bands,
            settings.assume_baseline,
            reader,
            workers,
            cloud_score=settings.cloud_score,
        )
    from cropflow.imagery.sentinel1.export import export_radar

    table: pandas.DataFrame = export_radar(store, grids, decisions, reader, workers)
    return table


def _counts(found: int, table: pandas.DataFrame) -> dict[str, Any]:
    """What the manifest tells of a catalogue."""
    kinds = table["reason"].str.partition(":")[0][~table["kept"]].value_counts()
    harmonised = {}
    if "offset" in table:
        harmonised = {"offset": int((table["offset"] != 0).sum()), "clipped": int(table["clipped"].sum())}
    return {
        "scenes_found": found,
        "rows": len(table),
        "kept": int(table["kept"].sum()),
        "dropped": {kind: int(count) for kind, count in sorted(kinds.items())},
        **harmonised,
        "kept_per_site": {name: int(count) for name, count in table.groupby("site")["kept"].sum().items()},
    }
