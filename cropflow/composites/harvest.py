"""The window before harvest of each site: that of the province in which most of its parcels lie."""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas

from cropflow.composites.periods import Calendar, window_calendar
from cropflow.config.imagery import HarvestWindow
from cropflow.errors import CropflowError, listing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SiteWindow:
    """The window of a site.

    Attributes:
        calendar: Its months.
        parcels: Parcels of the site whose province has this window.
        others: Parcels whose province has another one.
        without: Parcels without a window: they lie in no province, or in one whose calendar lacks the crop.
    """

    calendar: Calendar
    parcels: int
    others: int
    without: int


def site_windows(
    parcels: Mapping[str, pandas.DataFrame], queries: pandas.DataFrame, window: HarvestWindow
) -> dict[str, SiteWindow]:
    """Choose the window of each site for a crop that is asked for.

    A window belongs to a province and a queried crop, never to the crop of a parcel; a site that lies in several
    provinces takes the window that most of its parcels' area has, the earlier one where two have the same.

    Args:
        parcels: Site -> ``parcel_id`` and ``site_area_ha`` of its parcels.
        queries: ``parcel_id``, ``crop``, ``calendar``, ``window_start`` and ``window_end`` (ISO 8601), a row per query
            and parcel (``cropflow labels windows``).
        window: The crop, and which of its calendars.

    Returns:
        Site -> its window, for all sites.

    Raises:
        CropflowError: If the crop is not asked for, has several calendars and none is named, a site has no parcel with
            a window, or windows differ in length.
    """
    chosen = _chosen(queries, window).set_index("parcel_id")[["window_start", "window_end"]]
    found: dict[str, SiteWindow] = {}
    for site, table in parcels.items():
        dates = table[["parcel_id", "site_area_ha"]].join(chosen, on="parcel_id")
        dated = dates[dates["window_start"].notna()]
        if dated.empty:
            raise CropflowError(
                f"Site {site} has {len(table)} parcels, and none lies in a province with a window for {window.crop!r}; "
                "expected one. Leave the site out, or choose another crop for series.<name>.window."
            )
        areas = dated.groupby(["window_start", "window_end"])["site_area_ha"].agg(["sum", "size"])
        # Groups are sorted: the first of equals is the earliest.
        start, end = list(areas.index)[int(areas["sum"].to_numpy().argmax())]
        found[site] = SiteWindow(
            window_calendar(datetime.date.fromisoformat(start), datetime.date.fromisoformat(end)),
            int(areas.loc[(start, end), "size"]),
            len(dated) - int(areas.loc[(start, end), "size"]),
            len(dates) - len(dated),
        )
    _tell(found)
    lengths = {len(one.calendar) for one in found.values()}
    if len(lengths) > 1:
        raise CropflowError(
            f"Windows have {listing(sorted(lengths))} months; expected one length. Rebuild the windows."
        )
    return found


def read_site_parcels(folder: Path) -> dict[str, pandas.DataFrame]:
    """Read the parcels of each site of a region: ``parcel_id`` and ``site_area_ha``."""
    return {
        file.stem: pandas.read_parquet(file, columns=["parcel_id", "site_area_ha"])
        for file in sorted(folder.glob("*.parquet"))
    }


def _chosen(queries: pandas.DataFrame, window: HarvestWindow) -> pandas.DataFrame:
    of_crop = queries[queries["crop"] == window.crop]
    if window.calendar is not None:
        of_crop = of_crop[of_crop["calendar"] == window.calendar]
    sheets = sorted(set(of_crop["calendar"]))
    if not sheets:
        known = listing(sorted(set(queries["crop"] + " (" + queries["calendar"] + ")")), 20)
        asked = window.crop if window.calendar is None else f"{window.crop} ({window.calendar})"
        raise CropflowError(
            f"series.<name>.window asks for {asked!r}; the register has windows for: {known or 'no crop'}. Choose one."
        )
    if len(sheets) > 1:
        raise CropflowError(
            f"Crop {window.crop!r} has several calendars ({listing(sheets)}); name one: series.<name>.window.calendar."
        )
    return of_crop


def _tell(found: Mapping[str, SiteWindow]) -> None:
    mixed = {site: one for site, one in found.items() if one.others}
    if mixed:
        site, one = next(iter(mixed.items()))
        log.warning(
            "%d of %d sites lie in provinces with different windows and take that of most of their area (first: %s, %d "
            "of %d parcels have another)",
            len(mixed), len(found), site, one.others, one.others + one.parcels,
        )  # fmt: skip
    spans = [(one.calendar.starts[0], one.calendar.last) for one in found.values()]
    for (start, end), count in sorted(Counter(spans).items()):
        log.info("window %s to %s: %d of %d sites", start, end, count, len(found))
