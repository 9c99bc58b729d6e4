"""The calendar of a series: its periods, and the one that a scene falls into."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.config.imagery import Series
from cropflow.errors import CropflowError

# The days of a month on which its parts begin.
PARTS = {"month": (1,), "half-month": (1, 16), "dekad": (1, 11, 21)}
ONE_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Calendar:
    """Consecutive periods, without a gap between them.

    Attributes:
        starts: First day of each period, in order of time.
        last: Last day of the last period, inclusive.
        seen: Last day whose scenes count, inclusive: ``last``, or the cut within the last period.
    """

    starts: tuple[datetime.date, ...]
    last: datetime.date
    seen: datetime.date

    def __len__(self) -> int:
        """Number of periods."""
        return len(self.starts)

    @property
    def ends(self) -> tuple[datetime.date, ...]:
        """Last day of each period, inclusive."""
        return (*(start - ONE_DAY for start in self.starts[1:]), self.last)

    @property
    def middles(self) -> NDArray[np.float64]:
        """Middle of each period in days since the first day of the first one, float64, ``(period,)``."""
        first = self.starts[0].toordinal()
        return np.array(
            [
                (start.toordinal() + end.toordinal() + 1) / 2 - first
                for start, end in zip(self.starts, self.ends, strict=True)
            ]
        )

    def period_of(self, times: Sequence[str | datetime.datetime | datetime.date]) -> NDArray[np.int64]:
        """Find the period of each scene.

        Args:
            times: Sensing time of each scene, UTC; ISO 8601 texts, ``datetime`` or ``date``.

        Returns:
            Index of the period, int, ``(scene,)``; -1 before the first day and after the last that is seen.
        """
        starts = np.array([day.toordinal() for day in self.starts])
        days = np.array([utc_date(time).toordinal() for time in times], dtype=np.int64)
        found = np.searchsorted(starts, days, side="right").astype(np.int64) - 1
        return np.where(days > self.seen.toordinal(), -1, found)


def season_calendar(start: datetime.date, end: datetime.date, series: Series) -> Calendar:
    """The periods of a season.

    A season is widened to whole periods: to whole months, half-months (from the 1st and the 16th) or dekads (from the
    1st, 11th and 21st; the last has 8 to 11 days). Periods of so many days begin on the first day of the season's first
    month; those that begin in the season are taken, and the last ends with the last month, because scenes are fetched
    by whole months: a rest shorter than half a period joins the period before it.

    Args:
        start: First day, inclusive, UTC.
        end: Last day, inclusive, UTC; may lie in a later year.
        series: ``period``, ``period_days`` and ``cut``.

    Raises:
        CropflowError: If the season ends before it starts, or the cut lies outside the season.
    """
    if end < start:
        raise CropflowError(f"Season ends on {end}, before its start {start}; expected start <= end. Swap the dates.")
    if series.period == "days":
        starts, last = _of_days(start, end, series.period_days or 1)
    else:
        # Acquisitions have no periods; what bounds them are the season's months.
        starts, last = _of_months(start, end, PARTS.get(series.period, PARTS["month"]))
    cut = None if series.cut is None else cut_day(series.cut, starts[0], last)
    if cut is None:
        return Calendar(starts, last, last)
    left = tuple(day for day in starts if day <= cut)
    # The period that the cut falls into keeps its place in the calendar, and holds what was seen of it.
    return Calendar(left, starts[len(left)] - ONE_DAY if len(left) < len(starts) else last, cut)


def window_calendar(start: datetime.date, end: datetime.date) -> Calendar:
    """The months of a window: each begins on the day of the month on which the window does, or on the month's last.

    Args:
        start: First day, inclusive.
        end: Last day, inclusive: the day before such a day.

    Raises:
        CropflowError: If the window is not a whole number of months.
    """
    starts: list[datetime.date] = []
    while (day := _months_later(start, len(starts))) <= end:
        starts.append(day)
    if not starts or day - ONE_DAY != end:
        raise CropflowError(f"The window from {start} to {end} is no whole number of months. Rebuild the windows.")
    return Calendar(tuple(starts), end, end)


def days_calendar(days: Sequence[datetime.date]) -> Calendar:
    """One period for each day on which something was seen; it lasts until the next one.

    Args:
        days: The days, distinct and in order of time, at least one.
    """
    return Calendar(tuple(days), days[-1], days[-1])


def _months_later(day: datetime.date, months: int) -> datetime.date:
    month = day.year * 12 + day.month - 1 + months
    year, number = month // 12, month % 12 + 1
    return datetime.date(year, number, min(day.day, calendar.monthrange(year, number)[1]))


def _of_months(
    start: datetime.date, end: datetime.date, parts: Sequence[int]
) -> tuple[tuple[datetime.date, ...], datetime.date]:
    """The parts of months that touch a season, and the last day of the last one."""
    all_starts = [
        month.replace(day=day) for month in _months(start, _months_later(end.replace(day=1), 1)) for day in parts
    ]
    first = max(index for index, day in enumerate(all_starts) if day <= start)
    following = min(index for index, day in enumerate(all_starts) if day > end)
    return tuple(all_starts[first:following]), all_starts[following] - ONE_DAY


def _months(start: datetime.date, end: datetime.date) -> Iterator[datetime.date]:
    """First days of the months from that of one day to that of another, both inclusive."""
    for month in range(start.year * 12 + start.month - 1, end.year * 12 + end.month):
        yield datetime.date(month // 12, month % 12 + 1, 1)


def _of_days(start: datetime.date, end: datetime.date, days: int) -> tuple[tuple[datetime.date, ...], datetime.date]:
    first, last = start.replace(day=1), _months_later(end.replace(day=1), 1) - ONE_DAY
    starts = [first + datetime.timedelta(days=days * index) for index in range((end - first).days // days + 1)]
    while len(starts) > 1 and starts[1] <= start:
        starts.pop(0)
    last = min(last, starts[-1] + datetime.timedelta(days=days - 1))
    if len(starts) > 1 and 2 * ((last - starts[-1]).days + 1) < days:
        starts.pop()
    return tuple(starts), last


def cut_day(cut: str, first: datetime.date, last: datetime.date) -> datetime.date:
    """The first day of a calendar that has the month and day of a cut.

    Args:
        cut: ``MM-DD``; 02-29 is 02-28 where the year has none.
        first: First day of the calendar.
        last: Last day of the calendar.

    Raises:
        CropflowError: If the calendar has no such day.
    """
    month, day = (int(part) for part in cut.split("-"))
    for year in range(first.year, last.year + 1):
        found = datetime.date(year, month, min(day, calendar.monthrange(year, month)[1]))
        if first <= found <= last:
            return found
    raise CropflowError(
        f"The cut {cut} lies outside the season, whose periods run from {first} to {last}; expected a day of it. "
        "Change series.<name>.cut."
    )


def utc_date(time: str | datetime.datetime | datetime.date) -> datetime.date:
    """The day of a time in UTC; a time without a zone is UTC.

    Args:
        time: A ``datetime``, its ISO 8601 text, or a ``date``.

    Raises:
        CropflowError: If the text is no ISO 8601 time.
    """
    if isinstance(time, str):
        try:
            time = datetime.datetime.fromisoformat(time)
        except ValueError:
            raise CropflowError(
                f"Scene time is {time!r}; expected ISO 8601 such as '2018-04-18T10:40:21Z'. Rebuild the scenes."
            ) from None
    if not isinstance(time, datetime.datetime):
        return time
    return (time if time.tzinfo is None else time.astimezone(datetime.UTC)).date()


def solar_days(times: Sequence[str | datetime.datetime], longitude: float) -> list[datetime.date]:
    """The day of each scene by the sun: acquisitions of one overpass never fall on two days.

    Args:
        times: Sensing time of each scene, UTC.
        longitude: Of the site, degrees east.
    """
    shift = datetime.timedelta(hours=longitude / 15)
    found = []
    for time in times:
        moment = datetime.datetime.fromisoformat(time) if isinstance(time, str) else time
        found.append(utc_date(moment + shift))
    return found


def check_season(times: Sequence[str | datetime.datetime], start: datetime.date, end: datetime.date) -> None:
    """Refuse scenes outside the months of a season: the store was made for another one.

    Args:
        times: Sensing time of each scene, UTC.
        start: First day of the season.
        end: Last day of the season.

    Raises:
        CropflowError: One line with the first such day.
    """
    first, last = start.replace(day=1), _months_later(end.replace(day=1), 1) - ONE_DAY
    for time in times:
        if not first <= (day := utc_date(time)) <= last:
            raise CropflowError(
                f"A scene of {day} lies outside the season, whose months run from {first:%Y-%m} to {last:%Y-%m}. "
                "Rebuild the scenes for this season."
            )
