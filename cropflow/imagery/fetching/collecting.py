"""From what was found to a finished store: fetched, counted, written; again without what turns out to be gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas

from cropflow.config.imagery import Imagery, Sensor
from cropflow.files.remote import Limits
from cropflow.imagery.catalog import Decision
from cropflow.imagery.choosing import Window, check_taken, choose_scenes, wanted_layers
from cropflow.imagery.fetching.completeness import Completeness, measure
from cropflow.imagery.fetching.fetch import Fetched, LedgerReader, SceneGoneError, check_missing, fetch, units_of
from cropflow.imagery.fetching.ledger import Ledger
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sentinel2 import Reader
from cropflow.imagery.sources import Source
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

Decisions = dict[str, list[Decision]]
Write = Callable[[Decisions, Reader], pandas.DataFrame]


@dataclass(frozen=True)
class Collected:
    """A finished store.

    Attributes:
        table: Its catalogue.
        completeness: How much of what was planned arrived.
        planned: Decisions on metadata.
        fetches: What each round of fetching brought; none where scenes are local.
    """

    table: pandas.DataFrame
    completeness: Completeness
    planned: Decisions
    fetches: tuple[Fetched, ...] = ()


@dataclass(frozen=True)
class Order:
    """What is wanted of a sensor.

    Attributes:
        settings: Entry of imagery.
        sensor: The sensor.
        scenes: Scenes found.
        sites: Site -> grid.
        window: First and last day, both inclusive, UTC.
    """

    settings: Imagery
    sensor: Sensor
    scenes: Sequence[Scene]
    sites: Mapping[str, Grid]
    window: Window

    def decide(self, gone: Mapping[tuple[str, str], str]) -> Decisions:
        """Decisions for each site, without the scenes that are gone.

        Raises:
            CropflowError: If a scene taken lacks what is read of it.
        """
        decisions = choose_scenes(self.settings, self.sensor, self.scenes, self.sites, self.window, gone)
        check_taken(self.settings, self.sensor, decisions)
        return decisions


def collect_local(order: Order, source: Source, write: Write) -> Collected:
    """Write the scenes of a local source, read directly."""
    planned = order.decide({})
    completeness = measure(order.sensor, order.settings.minimum_complete, planned)
    return Collected(write(planned, source.read), completeness, planned)


def collect_remote(order: Order, source: Source, ledger: Ledger, limits: Limits, write: Write) -> Collected:
    """Fetch the scenes of a service into the ledger, then write them from there.

    A scene that turns out to be gone is dropped, its duplicates take its place, and what they need is fetched in
    another round.

    Args:
        order: What is wanted.
        source: The service.
        ledger: What earlier runs fetched, and this one will.
        limits: Of all calls of the source.
        write: How decisions become a store, read through the ledger.

    Raises:
        CropflowError: If a failure is final, requests are missing, or too little arrived.
    """
    planned = order.decide({})
    gone: dict[tuple[str, str], str] = {}
    fetches: list[Fetched] = []
    reader = LedgerReader(source, order.sites, ledger)
    while True:
        decisions = order.decide(gone)
        units = units_of(source, order.sites, decisions, lambda scene: wanted_layers(order.settings, scene))
        fetches.append(fetch(units, source, ledger, limits, order.settings.requests_at_once))
        gone |= fetches[-1].gone
        check_missing(fetches[-1])
        if fetches[-1].gone:
            continue
        completeness = measure(order.sensor, order.settings.minimum_complete, planned, gone)
        _tell(completeness)
        completeness.check()
        try:
            return Collected(write(decisions, reader), completeness, planned, tuple(fetches))
        except SceneGoneError as error:
            gone |= error.lost


def _tell(completeness: Completeness) -> None:
    LOG.info(
        "%s: %d of %d scenes arrived, counted once per site (%.1f %%)",
        completeness.sensor, completeness.arrived, completeness.wanted, 100 * completeness.share,
    )  # fmt: skip
    for month, sites in completeness.months.items():
        for site, counts in sites.items():
            if counts["gone"]:
                LOG.warning(
                    "%s, site %s, %s: %d of %d scenes are gone",
                    completeness.sensor, site, month, len(counts["gone"]), counts["wanted"],
                )  # fmt: skip
