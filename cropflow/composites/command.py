"""``cropflow composites``: scenes become monthly composites, site by site, block by block."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cropflow.errors import CropflowError

if TYPE_CHECKING:
    import datetime

    import numpy as np
    import zarr
    from numpy.typing import NDArray

    from cropflow.composites.sources import Scenes
    from cropflow.config.imagery import Series

app = typer.Typer(rich_markup_mode=None, add_completion=False)
log = logging.getLogger(__name__)


@app.command()
def composites(
    scenes: Annotated[
        Path, typer.Option(help="Input: Zarr store of scenes, reflectance x 10000 and scene classes per site.")
    ],
    catalogue: Annotated[Path, typer.Option(help="Input: parquet table of the scenes, kept or dropped.")],
    settings: Annotated[str, typer.Option(help="Entry of series, JSON.")],
    season: Annotated[str, typer.Option(help="Season as JSON: start and end, inclusive, UTC; widened to months.")],
    output: Annotated[
        Path,
        typer.Option(help="Output: Zarr store of composites, reflectance x 10000 per month, observations, filled."),
    ],
    workers: Annotated[int, typer.Option(min=1, help="Threads; each holds one block of 256 x 256 pixels.")] = 1,
) -> None:
    """Take the median of the clear observations of each month and fill short gaps; of Sentinel-1 the mean power.

    Input: scenes on the site grids (uint16, reflectance x 10000, 0 = nodata) with scene classes, or backscatter (int16,
    dB x 100, -32768 = nodata). Output: per site reflectance or backscatter (period, band, y, x) in the same unit,
    observations (count, at most 255) and filled (yes or no).
    """
    from cropflow.composites.periods import calendar_months, period_of
    from cropflow.composites.radar_gaps import month_middles
    from cropflow.composites.radar_store import SitePeriods, write_radar
    from cropflow.composites.sources import check_radar, check_scenes, is_radar
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
    sites = [] if of_radar else check_scenes(source, table)
    periods = calendar_months(dates.start, dates.end)
    counts: dict[str, Any] = {"periods": [period.isoformat() for period in periods], "sites": {}}
    with atomic_folder(output) as temporary:
        store = create_store(temporary)
        if of_radar:
            middles = month_middles(periods)
            dated = {site.site: SitePeriods(periods, middles, period_of(site.times, periods)) for site in of_radar}
            counts["sites"] = write_radar(store, of_radar, dated, series, workers)
        for site in sites:
            pixels = _composite_site(site, store, periods, series, workers)
            counts["sites"][site.site] = {
                "scenes": len(site.times),
                "pixels": site.grid.height * site.grid.width,
                "without_observation": pixels[0].tolist(),
                "filled": pixels[1].tolist(),
                "nodata": pixels[2].tolist(),
            }
    write_manifest(
        output,
        {"scenes": scenes, "catalogue": catalogue},
        {"series": dump(series), "season": dump(dates)},
        counts,
    )


def _composite_site(
    site: Scenes, store: zarr.Group, periods: list[datetime.date], series: Series, workers: int
) -> NDArray[np.int64]:
    """Composite a site into its group of the store; returns pixels ``(without observation, filled, nodata)``."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from tqdm import tqdm

    from cropflow.composites.blocks import Window, composite_window, windows
    from cropflow.composites.periods import period_of

    period = period_of(site.times, periods)
    if not site.times:
        log.warning("site %s has no scene: all its composites are nodata", site.site)
    arrays = _create_arrays(site, store, periods)

    def work(window: Window) -> NDArray[np.int64]:
        block = composite_window(site.group, window, period, len(periods), series, site.site)
        rows, columns = window
        arrays["reflectance"][:, :, rows, columns] = block.reflectance
        arrays["observations"][:, rows, columns] = block.observations
        arrays["filled"][:, rows, columns] = block.filled
        return block.counts()

    total = np.zeros((3, len(periods)), dtype=np.int64)
    blocks = list(windows(site.grid.shape))
    with ThreadPoolExecutor(workers) as pool:
        try:
            for pixels in tqdm(pool.map(work, blocks), total=len(blocks), desc=site.site, disable=None):
                total += pixels
        except BaseException:
            # What waits in the queue would only delay the message.
            pool.shutdown(cancel_futures=True)
            raise
    _log_months(site, periods, period, total)
    return total


def _create_arrays(site: Scenes, store: zarr.Group, periods: list[datetime.date]) -> dict[str, zarr.Array[Any]]:
    from cropflow.composites.blocks import BLOCK
    from cropflow.files.cubes import add_array, add_site

    group = add_site(
        store, site.site, site.grid, {"bands": list(site.bands), "periods": [day.isoformat() for day in periods]}
    )
    pixel, shape = ("period", "y", "x"), (len(periods), *site.grid.shape)
    chunks = (len(periods), BLOCK, BLOCK)
    return {
        "reflectance": add_array(
            group,
            "reflectance",
            ("period", "band", "y", "x"),
            (len(periods), len(site.bands), *site.grid.shape),
            "uint16",
            chunks=(len(periods), len(site.bands), BLOCK, BLOCK),
            attributes={"scale": 0.0001, "nodata": 0},
        ),
        "observations": add_array(group, "observations", pixel, shape, "uint8", chunks=chunks),
        "filled": add_array(group, "filled", pixel, shape, "bool", chunks=chunks),
    }


def _log_months(
    site: Scenes, periods: list[datetime.date], period: NDArray[np.int64], pixels: NDArray[np.int64]
) -> None:
    total = site.grid.height * site.grid.width
    for index, day in enumerate(periods):
        missing, filled, nodata = (100 * int(count) / total for count in pixels[:, index])
        log.info(
            "site %s, %s: %d scenes; of %d pixels %.1f %% without an observation (%.1f %% filled, %.1f %% nodata)",
            site.site,
            f"{day:%Y-%m}",
            int((period == index).sum()),
            total,
            missing,
            filled,
            nodata,
        )
