"""The calendar of a season: whole months, and the month that a scene falls into."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError


def calendar_months(start: datetime.date, end: datetime.date) -> list[datetime.date]:
    """List the months that a season touches, so the season is widened to whole months.

    Args:
        start: First day, inclusive, UTC.
        end: Last day, inclusive, UTC; may lie in a later year.

    Returns:
        The first day of each month, in order of time.

    Raises:
        CropflowError: If the season ends before it starts.
    """
    if end < start:
        raise CropflowError(f"Season ends on {end}, before its start {start}; expected start <= end. Swap the dates.")
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return [datetime.date(month // 12, month % 12 + 1, 1) for month in range(first, last + 1)]


def utc_date(time: str | datetime.datetime) -> datetime.date:
    """The day of a time in UTC; a time without a zone is UTC.

    Args:
        time: A ``datetime``, or its ISO 8601 text.

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
    return (time if time.tzinfo is None else time.astimezone(datetime.UTC)).date()


def period_of(times: Sequence[str | datetime.datetime], periods: Sequence[datetime.date]) -> NDArray[np.int64]:
    """Find the month of each scene.

    Args:
        times: Sensing time of each scene, UTC; ISO 8601 texts or ``datetime``.
        periods: First days of consecutive months, as :func:`calendar_months` lists them.

    Returns:
        Index into ``periods``, int, ``(scene,)``.

    Raises:
        CropflowError: If a scene lies outside the months.
    """
    if not periods:
        raise CropflowError("The season has no period; expected at least one month. Check its start and end.")
    first = periods[0].year * 12 + periods[0].month
    found = np.empty(len(times), dtype=np.int64)
    for index, time in enumerate(times):
        day = utc_date(time)
        found[index] = day.year * 12 + day.month - first
        if not 0 <= found[index] < len(periods):
            raise CropflowError(
                f"A scene of {day} lies outside the season, whose months run from {periods[0]:%Y-%m} to "
                f"{periods[-1]:%Y-%m}. Rebuild the scenes for this season."
            )
    return found
