"""Windows of dates before harvest, per province and queried crop.

A model that maps a crop before its harvest sees the months up to some time before it. The window then depends on the
crop that is asked for and on the province, never on the crop of the parcel: a negative seen at the dates of its own
harvest would betray its class by its dates alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.registers import Window
from cropflow.errors import CropflowError, listing
from cropflow.labels.annotation import NEGATIVE, POSITIVE, annotate, in_8_bits
from cropflow.labels.calendars import Calendar
from cropflow.labels.counts import Count, count_by

OUTCOMES = ("positive", "negative", "unknown", "without_window")
COLUMNS = ("province", "crop", "calendar", "harvest_start", "window_start", "window_end")


def window_before(harvest: datetime.date, window: Window) -> tuple[datetime.date, datetime.date]:
    """The window that ends some months before a harvest.

    Args:
        harvest: First day of the harvest.
        window: Its length and its distance to the harvest, months.

    Returns:
        First and last day, both inclusive. A day that a month does not have becomes the month's last one.
    """
    after = pandas.Timestamp(harvest) - pandas.DateOffset(months=window.months_before_harvest)
    start = pandas.Timestamp(harvest) - pandas.DateOffset(months=window.months_before_harvest + window.months)
    return start.date(), (after - pandas.Timedelta(days=1)).date()


def harvest_windows(calendars: Iterable[Calendar], window: Window) -> pandas.DataFrame:
    """The windows of all crops and provinces.

    Args:
        calendars: Calendars of one agricultural year.
        window: Length and distance to the harvest.

    Returns:
        One row per calendar whose harvest is known, sorted: ``province``, ``crop`` (the queried one), ``calendar`` (its
        sheet; a crop with several is asked for once with each), ``harvest_start``, ``window_start``, ``window_end``
        (ISO 8601, both days inclusive).
    """
    rows = []
    for calendar in calendars:
        if calendar.harvest_start is None:
            continue
        start, end = window_before(calendar.harvest_start, window)
        dates = (calendar.harvest_start.isoformat(), start.isoformat(), end.isoformat())
        rows.append((calendar.province, calendar.crop, calendar.sheet, *dates))
    return pandas.DataFrame(sorted(rows), columns=list(COLUMNS), dtype="str")


def windows_of(
    provinces: pandas.Series, windows: pandas.DataFrame, crop: str, calendar: str | None = None
) -> pandas.DataFrame:
    """The window of every parcel for a query: it depends on the parcel's province and on nothing else of it.

    Args:
        provinces: Province of each parcel, str, missing where it lies in none.
        windows: See :func:`harvest_windows`.
        crop: The queried crop.
        calendar: Which of its calendars, where it has several.

    Returns:
        ``window_start`` and ``window_end`` (ISO 8601), with the index of ``provinces``; missing where the province has
        no window for the query: such parcels are of no use to it.

    Raises:
        CropflowError: If the crop has no window at all, or several in one province and ``calendar`` names none of them.
    """
    of_crop = windows[windows["crop"] == crop]
    if calendar is not None:
        of_crop = of_crop[of_crop["calendar"] == calendar]
    known = listing(sorted(set(windows["crop"] + " (" + windows["calendar"] + ")")), 20)
    if of_crop.empty:
        asked = crop if calendar is None else f"{crop} ({calendar})"
        raise CropflowError(f"No province has a window for {asked!r}; there are windows for: {known}.")
    if of_crop["province"].duplicated().any():
        sheets = listing(sorted(of_crop["calendar"].unique()))
        raise CropflowError(f"Crop {crop!r} has several calendars in one province ({sheets}); name one of them.")
    found = of_crop.set_index("province")[["window_start", "window_end"]]
    return found.reindex(provinces).set_axis(provinces.index)


def stands_elsewhen(parcels: pandas.DataFrame, queried: Sequence[Calendar]) -> NDArray[np.bool_]:
    """True where a parcel's own crop is known not to stand while the queried one does.

    A crop stands from the first day of planting to the last known day of harvest. The register gives one crop per
    agricultural year; where the two share no day, both could have stood on one field.

    Args:
        parcels: ``province`` and the lists of :data:`cropflow.labels.calendars.COLUMNS`.
        queried: Calendars of the queried crop, at most one per province.

    Returns:
        bool, ``(parcel,)``: False where the dates of either crop are not known, or one of the parcel's calendars shares
        a day with the queried one.
    """
    spans = {calendar.province: _span(calendar.dates) for calendar in queried}
    return np.array(
        [
            _apart(spans.get(province) if isinstance(province, str) else None, own)
            for province, own in zip(parcels["province"], _own_spans(parcels), strict=True)
        ],
        dtype=np.bool_,
    )


def answer_queries(
    parcels: pandas.DataFrame,
    calendars: Sequence[Calendar],
    windows: pandas.DataFrame,
    may_hold: Callable[[str, str], bool],
) -> Iterator[pandas.DataFrame]:
    """What a register tells of every crop and calendar that has a window, one query after the other.

    Args:
        parcels: Cleaned parcels with ``parcel_id``, ``crop_code``, ``product``, ``province`` and the lists of
            :data:`cropflow.labels.calendars.COLUMNS`.
        calendars: Calendars of the agricultural year.
        windows: See :func:`harvest_windows`.
        may_hold: See :func:`cropflow.labels.annotation.annotate`.

    Yields:
        One row per parcel, in the order of ``parcels``: ``parcel_id``; ``crop`` and ``calendar`` (the queried ones);
        ``label`` uint8 (1 = positive, 0 = known negative, 254 = unknown); ``window_start`` and ``window_end``, ISO
        8601, both days inclusive, missing where the parcel's province has no window for the query.
    """
    for crop, sheet in sorted(set(zip(windows["crop"], windows["calendar"], strict=True))):
        queried = [calendar for calendar in calendars if calendar.sheet == sheet]
        labels = annotate(parcels, crop, sheet, may_hold, stands_elsewhen(parcels, queried))
        dates = windows_of(parcels["province"], windows, crop, sheet)
        yield pandas.DataFrame(
            {
                "parcel_id": parcels["parcel_id"],
                "crop": pandas.Series(crop, index=parcels.index, dtype="str"),
                "calendar": pandas.Series(sheet, index=parcels.index, dtype="str"),
                "label": in_8_bits(labels),
                "window_start": dates["window_start"],
                "window_end": dates["window_end"],
            }
        )


def count_query(answers: pandas.DataFrame, area_ha: NDArray[np.float64], windows: pandas.DataFrame) -> dict[str, Any]:
    """Count what a register gives to a query.

    Args:
        answers: A table of :func:`answer_queries`.
        area_ha: Areas of the parcels, hectares, in the same order, float64, ``(parcel,)``.
        windows: See :func:`harvest_windows`.

    Returns:
        ``crop``, ``calendar``, ``provinces`` (with a window) and, each with ``parcels`` and ``hectares``, ``positive``,
        ``negative``, ``unknown`` and ``without_window``, which add up to all parcels.
    """
    crop, sheet = answers["crop"].iloc[0], answers["calendar"].iloc[0]
    labels, dated = answers["label"].to_numpy(), answers["window_start"].notna().to_numpy()
    names = np.select(
        [~dated, labels == POSITIVE, labels == NEGATIVE], ["without_window", "positive", "negative"], "unknown"
    )
    counts = count_by(names, area_ha)
    provinces = int(((windows["crop"] == crop) & (windows["calendar"] == sheet)).sum())
    numbers = {name: counts.get(name, Count()).as_json() for name in OUTCOMES}
    return {"crop": crop, "calendar": sheet, "provinces": provinces, **numbers}


Span = tuple[str, str]


def _span(dates: Iterable[datetime.date | str | None]) -> Span | None:
    """First day of planting and last day of harvest, ISO 8601; None where one of them is not known."""
    start, _, first, last = ("" if date is None else str(date) for date in dates)
    end = last or first
    return (start, end) if start and end else None


def _own_spans(parcels: pandas.DataFrame) -> list[list[Span | None]]:
    columns = [parcels[name] for name in ("planting_start", "planting_end", "harvest_start", "harvest_end")]
    return [[_span(dates) for dates in zip(*lists, strict=True)] for lists in zip(*columns, strict=True)]


def _apart(queried: Span | None, own: Sequence[Span | None]) -> bool:
    if queried is None or not own or None in own:
        return False
    return all(span[1] < queried[0] or queried[1] < span[0] for span in own if span is not None)
