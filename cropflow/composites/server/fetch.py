"""The composites of a site, computed by Earth Engine and fetched part by part; gaps are filled here."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.blocks import Block, finish_block
from cropflow.composites.periods import Calendar, solar_days
from cropflow.composites.server import expression
from cropflow.composites.server.expression import Overpasses, composite_expression, read_pixels, stored_image
from cropflow.composites.server.parts import Part, PartStore, band_groups, cut_parts
from cropflow.config.imagery import Imagery, Series
from cropflow.imagery.scenes import Scene
from cropflow.imagery.stored import in_order
from cropflow.regions.grid import Grid
from cropflow.regions.sites import centre

# What a pixel of a band takes in the answer: a value and a byte of mask.
VALUE_BYTES = 2 + 1
COUNT_BYTES = 1 + 1


@dataclass(frozen=True)
class ServerSite:
    """A site whose composites the service computes.

    Attributes:
        name: Name of the site.
        grid: Its grid.
        overpasses: Period -> its overpasses, each with the images that saw the site; periods without any are left out.
        middles: Middle of each period, days, float64, ``(period,)``.
    """

    name: str
    grid: Grid
    overpasses: Mapping[int, Overpasses]
    middles: NDArray[np.float64]

    @property
    def n_periods(self) -> int:
        """Number of periods of the series."""
        return len(self.middles)


def plan_site(name: str, grid: Grid, scenes: Sequence[Scene], calendar: Calendar, imagery: Imagery) -> ServerSite:
    """Sort the scenes of a site by period and overpass.

    Args:
        name: Name of the site.
        grid: Its grid.
        scenes: The scenes taken, in order of time: the first of an overpass counts where several see a pixel. Each
            falls into a period.
        calendar: The periods.
        imagery: Baseline of scenes that carry none.

    Raises:
        CropflowError: If a scene carries no baseline and none is assumed.
    """
    times = [scene.stamp for scene in scenes]
    days = solar_days(times, centre(grid)[0])
    found: dict[int, dict[datetime.date, list[Any]]] = {}
    for scene, period, day in zip(scenes, calendar.period_of(times).tolist(), days, strict=True):
        found.setdefault(period, {}).setdefault(day, []).append(stored_image(scene, imagery.assume_baseline))
    overpasses = {period: list(by_day.values()) for period, by_day in found.items()}
    return ServerSite(name, grid, overpasses, calendar.middles)


def site_parts(site: ServerSite, bands: Sequence[str]) -> list[Part]:
    """The parts in which a site is fetched; one without pixels to fetch is still one part."""
    groups = list(band_groups(len(bands) + 1, sorted(site.overpasses)))
    longest = max((len(group) for group in groups), default=1)
    return cut_parts(site.grid.shape, longest * (len(bands) * VALUE_BYTES + COUNT_BYTES))


def fetch_sites(
    sites: Sequence[ServerSite], imagery: Imagery, series: Series, store: PartStore, workers: int
) -> Iterator[tuple[ServerSite, Part, Block]]:
    """Fetch the composites of sites and fill their gaps.

    Args:
        sites: The sites.
        imagery: Bands.
        series: Clear classes, statistic, gap rule and longest gap.
        store: Where parts are kept.
        workers: Parts that are asked for at once; each is held in memory.

    Yields:
        Each part of each site's grid with its composites, in order.

    Raises:
        CropflowError: If the service refuses or does not answer, or what it answers cannot be used.
    """

    def work(item: tuple[ServerSite, Part]) -> tuple[ServerSite, Part, Block]:
        site, part = item
        return site, part, _fetch_part(site, imagery, series, store, part)

    yield from in_order(work, [(site, part) for site in sites for part in site_parts(site, imagery.bands)], workers)


def _fetch_part(site: ServerSite, imagery: Imagery, series: Series, store: PartStore, part: Part) -> Block:
    right, bottom = part.column + part.width, part.row + part.height
    name = f"site {site.name}, rows {part.row} to {bottom}, columns {part.column} to {right}"
    shape = (part.height, part.width)
    composite = np.zeros((site.n_periods, len(imagery.bands), *shape), dtype=np.uint16)
    observations = np.zeros((site.n_periods, *shape), dtype=np.uint8)
    for group in band_groups(len(imagery.bands) + 1, sorted(site.overpasses)):
        chosen = {period: site.overpasses[period] for period in group}
        statistic = "mean" if series.statistic == "mean" else "median"

        def build(ee: Any, chosen: Mapping[int, Overpasses] = chosen, statistic: Any = statistic) -> Any:
            return composite_expression(ee, chosen, imagery.bands, series.mask.classes, statistic, site.grid)

        key = _key(chosen, imagery.bands, series.mask.classes, statistic)
        pixels = store.read(f"The composite of {name}", build, key, site.grid, part)
        values, counts = read_pixels(pixels, chosen, site.n_periods, imagery.bands, name)
        composite[list(group)] = values[list(group)]
        observations[list(group)] = counts[list(group)]
    return finish_block(composite, observations, None, series, site.middles, imagery.bands, name)


def _key(periods: Mapping[int, Overpasses], bands: Sequence[str], classes: Sequence[int], statistic: str) -> str:
    """Hash of all that the pixels of a composite depend on, besides the grid.

    The text of the module that writes the expression is among it: what an older version left is not taken for ours.
    """
    images = {
        str(period): [[asdict(image) | {"layers": dict(image.layers)} for image in images] for images in overpasses]
        for period, overpasses in periods.items()
    }
    content = {"images": images, "bands": list(bands), "classes": sorted(classes), "statistic": statistic}
    digest = hashlib.sha256(Path(expression.__file__).read_bytes())
    digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()
