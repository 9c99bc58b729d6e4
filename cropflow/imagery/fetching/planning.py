"""What an export would bring and cost, known before any pixel is fetched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cropflow.config.imagery import Imagery, Sensor, Series
from cropflow.imagery.catalog import Decision, reasons
from cropflow.imagery.choosing import Window, wanted_layers
from cropflow.imagery.fetching.pace import Pace
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Source
from cropflow.regions.grid import Grid

# What is left of pixels once the store has compressed them; noise leaves little to gain.
STORED_SHARE = 0.6
# Composites that Earth Engine makes come as uint16 with a byte of mask, in answers of at most this size.
ANSWER_BYTES = 48 * 2**20


@dataclass(frozen=True)
class SitePlan:
    """What an export of one sensor would bring for one site.

    Attributes:
        found: Scenes found.
        wanted: Scenes taken by their metadata.
        dropped: Kind of reason -> scenes; with those wanted they add up to those found.
        requests: Estimate of the requests to the service; 0 where scenes are local.
        bytes: Estimate of what is sent.
        read: Estimate of what the service reads: more than is sent where it makes the composites.
        pixels: Bytes of the pixels of all layers as they are kept until the store is finished.
        stored: Bytes of the pixels in the store, before compression.
    """

    found: int
    wanted: int
    dropped: Mapping[str, int]
    requests: int
    bytes: int
    read: int
    pixels: int
    stored: int


@dataclass(frozen=True)
class Plan:
    """What an export of all sensors would bring and cost.

    Attributes:
        sensors: Sensor -> site -> its plan.
        minutes: Estimated time of the fetch; 0 where scenes are local.
        eecu_hours: Earth Engine's compute units; None where it is not asked.
        work_bytes: Disk that the largest sensor's pixels take until its store is finished: one is fetched at a time.
        store_bytes: Disk that the stores of all sensors take.
        how: Figure -> how it is estimated.
    """

    sensors: Mapping[Sensor, Mapping[str, SitePlan]]
    minutes: float
    eecu_hours: float | None
    work_bytes: int
    store_bytes: int
    how: Mapping[str, str] = field(default_factory=dict)

    def total(self, figure: str) -> int:
        """Sum of a figure of :class:`SitePlan` over sensors and sites."""
        return sum(getattr(site, figure) for sites in self.sensors.values() for site in sites.values())

    def content(self) -> dict[str, Any]:
        """What is written as JSON."""
        shown = ("found", "wanted", "requests", "bytes")
        return {
            "sensors": {
                sensor: {
                    name: {**{figure: getattr(site, figure) for figure in shown}, "dropped": dict(site.dropped)}
                    for name, site in sites.items()
                }
                for sensor, sites in self.sensors.items()
            },
            "total": {
                **{figure: self.total(figure) for figure in shown},
                "minutes": round(self.minutes, 1),
                "eecu_hours": None if self.eecu_hours is None else round(self.eecu_hours, 2),
                "disk_bytes": {"until finished": self.work_bytes, "store": self.store_bytes},
            },
            "how": dict(self.how),
        }

    def table(self) -> list[str]:
        """Lines for a reader: a row per sensor and site, and one for all."""
        rows = [("sensor", "site", "found", "wanted", "requests", "MB", "dropped because")]
        for sensor, sites in self.sensors.items():
            for name, site in sites.items():
                dropped = ", ".join(f"{kind} {count}" for kind, count in site.dropped.items())
                rows.append((sensor, name, *_figures(site.found, site.wanted, site.requests, site.bytes), dropped))
        every = (self.total(figure) for figure in ("found", "wanted", "requests", "bytes"))
        kinds: Counter[str] = Counter()
        for sites in self.sensors.values():
            for site in sites.values():
                kinds.update(site.dropped)
        rows.append(("all", "", *_figures(*every), ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return [
            "  ".join(
                cell.rjust(width) if 1 < column < 6 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]


def _figures(found: int, wanted: int, requests: int, size: int) -> tuple[str, str, str, str]:
    return f"{found:,}", f"{wanted:,}", f"{requests:,}", f"{size / 1e6:,.1f}"


def plan_export(
    settings: Imagery,
    decisions: Mapping[Sensor, Mapping[str, Sequence[Decision]]],
    sites: Mapping[str, Grid],
    window: Window,
    source: Source | None,
    pace: Pace,
    series: Sequence[Series] = (),
) -> Plan:
    """Count and estimate what an export would bring and cost; nothing is asked of the service.

    Args:
        settings: Entry of imagery.
        decisions: Sensor -> site -> decisions on metadata.
        sites: Site -> grid.
        window: First and last day, both inclusive, UTC.
        source: The service; None where scenes are local.
        pace: How fast it answers.
        series: What the service composites for the sites, each for itself; calendar months where none is told.
    """
    periods = [_periods(one, window) for one in series or (Series(),)]
    sensors = {
        sensor: {
            name: _site_plan(settings, sites[name], judged, source, periods) for name, judged in sorted(by_site.items())
        }
        for sensor, by_site in decisions.items()
    }
    every = [site for by_site in sensors.values() for site in by_site.values()]
    requests, size = sum(site.requests for site in every), sum(site.bytes for site in every)
    minutes = pace.minutes(requests, size, settings.requests_at_once, settings.requests_per_second)
    kept = [sum(site.pixels for site in by_site.values()) for by_site in sensors.values()]
    how = {"disk": f"pixels of the largest sensor until its store is finished, and {STORED_SHARE:g} of what is stored"}
    eecu_hours = None
    if source is not None:
        how |= {"requests, bytes": f"as source {settings.source} cuts scenes", "minutes": pace.told()}
    if settings.source == "earth_engine":
        from cropflow.imagery.earth_engine.requests import estimate_eecu_hours

        eecu_hours = float(estimate_eecu_hours(sum(site.read for site in every)))
        how["eecu_hours"] = "proportional to the bytes that the service reads: an order of magnitude"
    if settings.reduce == "server":
        how["requests, bytes"] = "composites of all periods and series, all bands and the count, in answers of 48 MB"
    return Plan(
        sensors, minutes, eecu_hours, max(kept, default=0), math.ceil(STORED_SHARE * sum(s.stored for s in every)), how
    )


def _site_plan(
    settings: Imagery, grid: Grid, decisions: Sequence[Decision], source: Source | None, periods: Sequence[int]
) -> SitePlan:
    scenes = [decision.scene for decision in decisions if decision.kept]
    layers = {scene.source: wanted_layers(settings, scene) for scene in scenes}
    pixels = grid.height * grid.width
    counts = (len(decisions), len(scenes), reasons(decisions))
    stored = sum(2 * len(layers[scene.source]) for scene in scenes) * pixels
    if source is None:
        return SitePlan(*counts, requests=0, bytes=0, read=0, pixels=0, stored=stored)
    asked = [one for scene in scenes for one in source.requests(scene, grid, layers[scene.source])]
    size = sum(one.bytes for one in asked)
    if settings.reduce == "server":
        each = [2 * pixels * count * (len(settings.bands) + 1) if scenes else 0 for count in periods]
        answers = sum(math.ceil(1.5 * sent / ANSWER_BYTES) for sent in each)
        read = size * len(each)
        return SitePlan(*counts, requests=answers, bytes=sum(each), read=read, pixels=max(each), stored=sum(each))
    kept = sum(_value_bytes(scene) * len(layers[scene.source]) for scene in scenes) * pixels
    calls = sum(one.calls for one in asked)
    return SitePlan(*counts, requests=calls, bytes=size, read=size, pixels=kept, stored=stored)


def _periods(series: Series, window: Window) -> int:
    """Periods of a series in a window of whole months, one more or less where they begin within it."""
    if series.period == "days":
        return math.ceil(((window[1] - window[0]).days + 1) / (series.period_days or 1))
    months = 12 * (window[1].year - window[0].year) + window[1].month - window[0].month + 1
    return months * {"half-month": 2, "dekad": 3}.get(series.period, 1)


def _value_bytes(scene: Scene) -> int:
    """Bytes of a value as it is kept until the store is finished."""
    return 2 if scene.sensor == "sentinel2" else 4
