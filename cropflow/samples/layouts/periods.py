"""First days of consecutive months, for layouts that keep calendar composites without their dates."""

from __future__ import annotations

import datetime


def months(start: datetime.date, count: int) -> tuple[str, ...]:
    """First days of months from a day on, ISO 8601; the day of the month stays, up to the 28th.

    Args:
        start: First day of the first month.
        count: Number of months.
    """
    found = []
    for number in range(start.month - 1, start.month - 1 + count):
        found.append(datetime.date(start.year + number // 12, number % 12 + 1, min(start.day, 28)).isoformat())
    return tuple(found)
