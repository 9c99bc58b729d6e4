"""The window of a season: whole months, so that every composite sees all of its scenes."""

from __future__ import annotations

import calendar
import datetime


def whole_months(start: datetime.date, end: datetime.date) -> tuple[datetime.date, datetime.date]:
    """Widen a range of dates to whole calendar months.

    A composite named after a month must hold the whole month, whatever day the season begins on.

    Args:
        start: First day, inclusive, UTC.
        end: Last day, inclusive, UTC.

    Returns:
        The first day of the month of ``start`` and the last day of the month of ``end``, both inclusive.
    """
    return start.replace(day=1), end.replace(day=calendar.monthrange(end.year, end.month)[1])
