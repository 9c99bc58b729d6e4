"""Numbers and names as a reader sees them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# What stands where there is nothing to say: no test data, no interval, no such count.
NOTHING = "–"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: float | None, digits: int = 0) -> str:
    """A number with thousands separated; a dash where there is none."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def plural(count: int, one: str, many: str = "") -> str:
    """A count and what is counted, in the right number."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def score(value: float | None) -> str:
    """A score with three digits; a dash where it is not defined."""
    return NOTHING if value is None else f"{value:.3f}"


def percent(part: float, whole: float) -> str:
    """A share as whole percent; what is neither none nor all is never written as 0 % or 100 %."""
    if not whole:
        return NOTHING
    share = 100 * part / whole
    if 0 < share < 1:
        return "< 1 %"
    return "> 99 %" if 99 < share < 100 else f"{share:.0f} %"


def readable(name: str) -> str:
    """A name of the config or the legend with blanks for underscores."""
    return name.replace("_", " ")


def css_colour(colour: tuple[int, int, int]) -> str:
    """RGB, 0..255, as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def listed(items: Iterable[object]) -> str:
    """Things as one comma-separated text; a dash where there are none."""
    return ", ".join(str(item) for item in items) or NOTHING


def month_labels(periods: Sequence[str]) -> list[str]:
    """Short names of the months, the year below the first and every January.

    Args:
        periods: ISO start dates. Of several in one month the first is labelled, the others are blank.
    """
    labels: list[str] = []
    for position, period in enumerate(periods):
        year, month = period[:4], int(period[5:7])
        if position and periods[position - 1][:7] == period[:7]:
            labels.append("")
        else:
            labels.append(f"{MONTHS[month - 1]}\n{year}" if position == 0 or month == 1 else MONTHS[month - 1])
    return labels


def period_title(period: str, periods: Sequence[str]) -> str:
    """What a period is called: its month, or its first day where others begin in the same month.

    Args:
        period: ISO start date.
        periods: ISO start dates of all periods.
    """
    title = f"{MONTHS[int(period[5:7]) - 1]} {period[:4]}"
    alone = sum(other[:7] == period[:7] for other in periods) == 1
    return title if alone and period.endswith("-01") else f"{int(period[8:10])} {title}"
