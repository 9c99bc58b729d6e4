"""``cropflow composites``: scenes become an evenly spaced series, site by site, block by block."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cropflow.composites.server.command import VERB, OneVerbOrMore, fetch
from cropflow.errors import CropflowError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cropflow.composites.harvest import SiteWindow
    from cropflow.composites.periods import Calendar
    from cropflow.composites.sources import Scenes
    from cropflow.config.imagery import Series

app = typer.Typer(
    cls=OneVerbOrMore,
    rich_markup_mode=None,
    add_completion=False,
    help="Turn scenes into an evenly spaced series, or keep their dates.",
)
app.command()(fetch)
log = logging.getLogger(__name__)


@app.command(VERB)
def composites(
    scenes: Annotated[Path, typer.Option(help="Input: Zarr store of scenes of one sensor, per site.")],
    catalogue: Annotated[Path, typer.Option(help="Input: parquet table of the scenes, kept or dropped.")],
    settings: Annotated[str, typer.Option(help="Entry of series, JSON.")],
    season: Annotated[str, typer.Option(help="Season as JSON: start and end, inclusive, UTC; widened to periods.")],
    output: Annotated[
        Path, typer.Option(help="Output: Zarr store of composites per period, observations, filled; per site.")
    ],
    queries: Annotated[
        Path | None, typer.Option(help="Input for a window before harvest: queries.parquet of the register.")
    ] = None,
    parcels: Annotated[
        Path | None, typer.Option(help="Input for a window before harvest: folder of the sites' parcels.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Threads; each holds the scenes of 256 x 256 pixels, 512 MiB at most.")
    ] = 1,
) -> None:
    """Summarise the clear observations of each period and fill short gaps; of Sentinel-1 the mean power.

    Input: scenes on the site grids (uint16, reflectance x 10000, 0 = nodata) with scene classes, or backscatter (int16,
    dB x 100, -32768 = nodata). Output: per site reflectance or backscatter (period, band, y, x) in the same unit,
    observations (count, at most 255) and filled (yes or no).
    """
    import zarr

    from cropflow.composites.axes import site_axes
    from cropflow.composites.radar.store import write_radar
    from cropflow.composites.sources import check_radar, check_scenes, is_radar
    from cropflow.composites.store import write_composites
    from cropflow.config.base import dump
    from cropflow.config.imagery import Series
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Season
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.cubes import create_store, open_store
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_table

    series = parse_json(Series, settings)
    dates = parse_json(Season, season, "--season")
    if not catalogue.is_file():
        raise CropflowError(f"{catalogue} is missing; expected the catalogue of scenes. Run the rule that makes it.")
    source, table = open_store(scenes), read_table(catalogue)
    of_radar = check_radar(source, table) if is_radar(source) else []
    sites: Sequence[Scenes] = of_radar or check_scenes(source, table)
    if not of_radar:
        _check_bands(sites, series)
    windows = _windows(series, queries, parcels)
    calendars = None if windows is None else _calendars(windows, sites)
    axes = site_axes(sites, dates.start, dates.end, series, calendars)
    counts: dict[str, Any] = {"sites": {}}
    # The threads that unpack chunks are all workers' together; by default there are more than the job asked for.
    with zarr.config.set({"threading.max_workers": workers}), atomic_folder(output) as temporary:
        store = create_store(temporary)
        if of_radar:
            counts["sites"] = write_radar(store, of_radar, axes, series, workers)
        else:
            counts["sites"] = write_composites(store, sites, axes, series, workers)
    for name, axis in axes.items():
        counts["sites"][name] |= {"periods": axis.attributes["periods"]}
        if windows:
            one = windows[name]
            counts["sites"][name] |= {
                "parcels_of_the_window": one.parcels,
                "parcels_of_other_windows": one.others,
                "parcels_without_a_window": one.without,
            }
    inputs = {"scenes": scenes, "catalogue": catalogue}
    if queries is not None and parcels is not None:
        inputs |= {"queries": queries, "parcels": parcels}
    write_manifest(output, inputs, {"series": dump(series), "season": dump(dates)}, counts)


def _check_bands(sites: Sequence[Scenes], series: Series) -> None:
    """Refuse scenes that lack what the settings look at, before any pixel is read."""
    from cropflow.composites.reducers import check_bands

    for site in sites:
        check_bands(series, site.bands, f"site {site.site}")


def _windows(series: Series, queries: Path | None, parcels: Path | None) -> dict[str, SiteWindow] | None:
    """Site -> window before harvest, where the series asks for one."""
    from cropflow.composites.harvest import read_site_parcels, site_windows
    from cropflow.files.tables import read_table

    if series.window is None:
        return None
    if queries is None or parcels is None:
        raise CropflowError("series.<name>.window needs --queries and --parcels; expected both. Name them.")
    return site_windows(read_site_parcels(parcels), read_table(queries), series.window)


def _calendars(windows: Mapping[str, SiteWindow], sites: Sequence[Scenes]) -> dict[str, Calendar]:
    from cropflow.errors import listing

    missing = [site.site for site in sites if site.site not in windows]
    if missing:
        raise CropflowError(
            f"Sites {listing(missing)} have no table of parcels among --parcels; expected one per site. Clip the "
            "parcels again."
        )
    return {name: window.calendar for name, window in windows.items()}
