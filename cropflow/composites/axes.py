"""The time axis of each site: the periods of a season, of a window before harvest, or the dates of its scenes."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.periods import Calendar, check_season, days_calendar, season_calendar, solar_days
from cropflow.composites.sources import Scenes
from cropflow.config.imagery import Series
from cropflow.errors import CropflowError
from cropflow.regions.sites import centre

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Axis:
    """The periods of a site, and where its scenes fall.

    Attributes:
        calendar: The periods.
        of_scenes: Period of each scene, int, ``(scene,)``; negative: left out.
        days: Solar day of each scene, ``(scene,)``.
        names: What the periods are called where the dates differ from site to site: the months before harvest.
        season_start: First day of the season where the periods are dates of scenes: what days are counted from.
    """

    calendar: Calendar
    of_scenes: NDArray[np.int64]
    days: Sequence[datetime.date]
    names: tuple[str, ...] = ()
    season_start: datetime.date | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """What a store of composites tells of its periods: first days, names where they have any, scenes in each.

        Dates of scenes, which are no periods, come with ``season_start``.
        """
        found: dict[str, Any] = {"periods": [start.isoformat() for start in self.calendar.starts]}
        if self.names:
            found["period_names"] = list(self.names)
        if self.season_start is not None:
            found["season_start"] = self.season_start.isoformat()
        seen = self.of_scenes[self.of_scenes >= 0]
        found["scenes"] = np.bincount(seen, minlength=len(self.calendar)).tolist()
        found["left_out"] = len(self.of_scenes) - len(seen)
        return found

    @property
    def repeated(self) -> bool:
        """Whether several scenes that are read belong to one overpass."""
        days = [day for day, period in zip(self.days, self.of_scenes, strict=True) if period >= 0]
        return len(set(days)) < len(days)


def site_axes(
    sites: Sequence[Scenes],
    start: datetime.date,
    end: datetime.date,
    series: Series,
    windows: Mapping[str, Calendar] | None = None,
) -> dict[str, Axis]:
    """Lay out the periods of every site.

    Args:
        sites: The sites with their scenes.
        start: First day of the season, inclusive, UTC.
        end: Last day of the season, inclusive, UTC.
        series: The settings.
        windows: Site -> months before harvest, with ``series.window`` alone.

    Returns:
        Site -> axis. Scenes after the cut, and outside a window, are left out before anything else.

    Raises:
        CropflowError: If scenes lie outside the season, the cut does, or a window begins or ends outside the months of
            the season, for which scenes were fetched.
    """
    calendar = season_calendar(start, end, series)
    axes: dict[str, Axis] = {}
    for site in sites:
        check_season(site.times, start, end)
        days = solar_days(site.times, centre(site.grid)[0])
        if series.period == "acquisitions":
            axes[site.site] = _of_dates(site.times, days, calendar, site.site)
        elif windows is not None:
            own = windows[site.site]
            _check_window(own, start, end, site.site)
            names = tuple(f"month {index + 1} of {len(own)} before harvest" for index in range(len(own)))
            axes[site.site] = Axis(own, own.period_of(site.times), days, names)
        else:
            axes[site.site] = Axis(calendar, calendar.period_of(site.times), days)
        left = int((axes[site.site].of_scenes < 0).sum())
        if left:
            LOG.info("site %s: %d of %d scenes lie outside the periods and are left out", site.site, left, len(days))
    return axes


def _of_dates(times: Sequence[str], days: Sequence[datetime.date], calendar: Calendar, site: str) -> Axis:
    """One period for each day on which the site was seen."""
    within = calendar.period_of(times) >= 0
    seen = sorted({day for day, inside in zip(days, within, strict=True) if inside})
    if not seen:
        raise CropflowError(
            f"Site {site} has no scene between {calendar.starts[0]} and {calendar.seen}, and a series of acquisitions "
            "needs one. Leave the site out, or choose another season or period."
        )
    place = {day: index for index, day in enumerate(seen)}
    of_scenes = [place[day] if inside else -1 for day, inside in zip(days, within, strict=True)]
    return Axis(days_calendar(seen), np.array(of_scenes, dtype=np.int64), days, season_start=calendar.starts[0])


def _check_window(window: Calendar, start: datetime.date, end: datetime.date, site: str) -> None:
    months = season_calendar(start, end, Series())
    if window.starts[0] < months.starts[0] or window.last > months.last:
        raise CropflowError(
            f"The window of site {site} runs from {window.starts[0]} to {window.last}; expected it within the season, "
            f"whose months run from {months.starts[0]} to {months.last}. Widen the season, or change "
            "registers.<name>.calendar.window."
        )
