"""Crop calendars: when a crop is planted and harvested, by province, as an Excel workbook in the Solar Hijri calendar.

One sheet per crop, or per crop and variant (onion of spring, of winter ...). A row names a province and four dates as
``MM-DD`` without a year: ``-`` is missing, and ``02-31`` exists, for the first six months have 31 days. Planting begins
in the first year of the agricultural year, in sheets that the settings name in the second; a date earlier in the year
than the one before it lies in the next year. A crop with several sheets has alternatives: nothing tells which of them
a parcel followed, so it carries all of them.
"""

from __future__ import annotations

import datetime
import logging
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
import pandas
from openpyxl.utils.exceptions import InvalidFileException
from persiantools.jdatetime import JalaliDate

from cropflow.errors import CropflowError, listing, refuse

logger = logging.getLogger(__name__)

PROVINCE = "province"
DATES = ("planting_start", "planting_end", "harvest_start", "harvest_end")
HEADERS = {
    PROVINCE: "Province",
    "planting_start": "Planting Start Date",
    "planting_end": "Planting End Date",
    "harvest_start": "Harvest Start Date",
    "harvest_end": "Harvest End Date",
}
# What attach() adds to parcels: one list entry per alternative, the sheet's name first.
COLUMNS = ("calendar", *DATES)
MISSING = ("", "-")
# Planting or harvest of one crop in one province takes weeks; a longer one is a slip of the pen.
LONGEST_DAYS = 183
_UNREADABLE = (InvalidFileException, zipfile.BadZipFile, KeyError, ParseError, OSError, ValueError)
MonthDay = tuple[int, int]


@dataclass(frozen=True)
class Entry:
    """A row of the workbook, which knows no year.

    Attributes:
        sheet: Name of the sheet.
        crop: Code of the crop.
        variant: Season or kind of the crop, such as ``winter``; empty where the sheet is for all of them.
        province: Name of the province.
        days: Month and day of :data:`DATES`, Solar Hijri; None where missing.
    """

    sheet: str
    crop: str
    variant: str
    province: str
    days: tuple[MonthDay | None, ...]


@dataclass(frozen=True)
class Calendar:
    """When a crop is planted and harvested in a province, in one agricultural year (Gregorian dates)."""

    sheet: str
    crop: str
    variant: str
    province: str
    planting_start: datetime.date | None
    planting_end: datetime.date | None
    harvest_start: datetime.date | None
    harvest_end: datetime.date | None

    @property
    def dates(self) -> tuple[datetime.date | None, ...]:
        """The four dates, in the order of :data:`DATES`."""
        return (self.planting_start, self.planting_end, self.harvest_start, self.harvest_end)


def read_calendars(path: Path, sheets: Mapping[str, tuple[str, str]]) -> list[Entry]:
    """Read a workbook of crop calendars.

    Args:
        path: The ``.xlsx`` file.
        sheets: Sheet -> crop and variant; exactly these sheets must be there.

    Returns:
        The rows, in the order of ``sheets`` and of the sheet.

    Raises:
        CropflowError: If the file is no workbook, has other sheets, lacks a column, names a province twice in a
            sheet, or holds something that is no ``MM-DD``.
    """
    if not path.is_file():
        raise CropflowError(f"Crop calendars {path} do not exist; check registers.<name>.calendar.path.")
    try:
        workbook = openpyxl.load_workbook(path, data_only=True)
    except _UNREADABLE as error:
        raise CropflowError(
            f"{path.name} cannot be read as an Excel workbook ({type(error).__name__}: {error}); expected .xlsx."
        ) from None
    unknown = [name for name in workbook.sheetnames if name not in sheets]
    absent = [name for name in sheets if name not in workbook.sheetnames]
    if unknown or absent:
        raise CropflowError(
            f"{path.name} has other sheets than expected: unknown {listing(unknown, 20) or 'none'}; missing "
            f"{listing(absent, 20) or 'none'}. Rename them, or say in registers.<name>.calendar.sheets which crop "
            "each sheet is of."
        )
    entries: list[Entry] = []
    for sheet, (crop, variant) in sheets.items():
        rows = [tuple(row) for row in workbook[sheet].iter_rows(values_only=True)]
        entries += [
            Entry(sheet, crop, variant, province, days) for province, days in _rows(f"{path.name}, sheet {sheet}", rows)
        ]
    return entries


def _rows(where: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, tuple[MonthDay | None, ...]]]:
    found = [_text(value) for value in rows[0]] if rows else []
    folded = [name.casefold() for name in found]
    missing = [header for header in HEADERS.values() if header.casefold() not in folded]
    if missing:
        raise CropflowError(
            f"{where}, has no column {listing(map(repr, missing))}; it has: {listing(filter(None, found)) or 'none'}."
        )
    place = {name: folded.index(header.casefold()) for name, header in HEADERS.items()}
    result: dict[str, tuple[MonthDay | None, ...]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(_text(value) for value in row):
            continue
        at = f"{where}, row {number}"
        province = _text(row[place[PROVINCE]])
        if not province:
            raise CropflowError(f"{at}, has no province; name it, or delete the row.")
        if province in result:
            raise CropflowError(f"{at}: province {province!r} has a row already; expected one row per province.")
        result[province] = tuple(_month_day(row[place[name]], f"{HEADERS[name]} of {at}") for name in DATES)
    return list(result.items())


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _month_day(value: Any, what: str) -> MonthDay | None:
    text = _text(value)
    if text in MISSING:
        return None
    # Persian digits count as digits; a cell that Excel turned into a date does not match.
    match = re.fullmatch(r"(\d{1,2})-(\d{1,2})", text)
    month, day = (int(match[1]), int(match[2])) if match else (0, 0)
    longest = 31 if month <= 6 else 30
    if not (1 <= month <= 12 and 1 <= day <= longest):
        refuse(f"The {what}", text, "a Solar Hijri date MM-DD as text (months 1 to 6 have 31 days), or '-'")
    return month, day


def gregorian(year: int, month: int, day: int) -> datetime.date:
    """Convert a Solar Hijri date.

    Raises:
        ValueError: If there is no such date: the twelfth month has 30 days in leap years alone.
    """
    converted: datetime.date = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]
    return converted


def dated(entries: Iterable[Entry], year: int, second_year: Iterable[str] = ()) -> list[Calendar]:
    """Place the rows of a workbook in an agricultural year.

    Args:
        entries: Rows of the workbook.
        year: First Solar Hijri year of the agricultural year: 1400 of 1400-1401.
        second_year: Sheets whose planting begins in the second one.

    Returns:
        One calendar per row. The end of a planting or a harvest that would take more than 183 days is left missing, and
        so are the dates of a harvest without any date of planting, whose year nothing tells; both are logged.

    Raises:
        CropflowError: If a date does not exist in its year, or ``second_year`` names a sheet that is not there.
    """
    rows, late = list(entries), set(second_year)
    unknown = sorted(late - {entry.sheet for entry in rows})
    if unknown:
        refuse("registers.<name>.calendar.second_year", unknown, f"sheets: {listing(_sheets(rows), 20)}")
    return [_dated(entry, year + (entry.sheet in late)) for entry in rows]


def _sheets(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(entry.sheet for entry in entries))


def _dated(entry: Entry, year: int) -> Calendar:
    where = f"Crop calendar {entry.sheet}, {entry.province}"
    before: MonthDay = (0, 0)
    dates: list[datetime.date | None] = []
    for name, day in zip(DATES, entry.days, strict=True):
        if day is None:
            dates.append(None)
            continue
        year += day < before
        before = day
        try:
            dates.append(gregorian(year, *day))
        except ValueError:
            refuse(f"{where}: {name}", f"{day[0]:02d}-{day[1]:02d}", f"a date that exists in the year {year}")
    if dates[0] is None and dates[1] is None and any(dates):
        logger.warning("%s: no date of planting tells the year of the harvest; it is left missing", where)
        dates = [None] * len(dates)
    for start, end in ((0, 1), (2, 3)):
        first, last = dates[start], dates[end]
        if first is not None and last is not None and (last - first).days > LONGEST_DAYS:
            logger.warning(
                "%s: %s %s to %s takes %d days, more than %d; its end is left missing",
                where, DATES[start].removesuffix("_start"), first, last, (last - first).days, LONGEST_DAYS,
            )  # fmt: skip
            dates[end] = None
    return Calendar(entry.sheet, entry.crop, entry.variant, entry.province, *dates)


def check_provinces(calendars: Iterable[Calendar], known: Iterable[str]) -> None:
    """Check that every province of the calendars is one of the layer: a misspelt one would lose its dates.

    Raises:
        CropflowError: If one is not; it names the first sheets.
    """
    names = set(known)
    wrong = [f"{calendar.province!r} ({calendar.sheet})" for calendar in calendars if calendar.province not in names]
    if wrong:
        raise CropflowError(
            f"The crop calendars name provinces that the layer of provinces does not have: {listing(wrong, 5)}; it has "
            f"{listing(sorted(names), 40)}. Correct the name in the workbook."
        )


def alternatives(calendars: Iterable[Calendar], crop: str, variant: str, province: str) -> list[Calendar]:
    """The calendars that a parcel may have followed.

    A variant that the calendars of its crop know leaves those of that variant alone; otherwise all of the crop's count.

    Args:
        calendars: Calendars of one agricultural year.
        crop: The parcel's crop code.
        variant: Its variant, empty where unknown.
        province: Its province.

    Returns:
        Any number of them, in order.
    """
    of_crop = [calendar for calendar in calendars if calendar.crop == crop]
    if variant and variant in {calendar.variant for calendar in of_crop}:
        of_crop = [calendar for calendar in of_crop if calendar.variant == variant]
    return [calendar for calendar in of_crop if calendar.province == province]


def attach(parcels: pandas.DataFrame, calendars: Sequence[Calendar]) -> pandas.DataFrame:
    """Give every parcel the calendars it may have followed, as lists: never a second row.

    Args:
        parcels: ``crop_code``, ``variant`` and ``province`` str; a province may be missing.
        calendars: Calendars of one agricultural year.

    Returns:
        A new table of the same rows with :data:`COLUMNS`: ``calendar`` (names of the sheets) and the four dates
        (ISO 8601, None where missing), lists of equal length; empty where no calendar fits.
    """
    keys = list(zip(parcels["crop_code"].fillna(""), parcels["variant"], parcels["province"].fillna(""), strict=True))
    fitting = {key: alternatives(calendars, *key) for key in set(keys)}
    result = parcels.copy()
    result["calendar"] = pandas.Series(
        [[calendar.sheet for calendar in fitting[key]] for key in keys], index=parcels.index, dtype=object
    )
    for position, name in enumerate(DATES):
        told = {key: [_iso(calendar.dates[position]) for calendar in found] for key, found in fitting.items()}
        result[name] = pandas.Series([told[key] for key in keys], index=parcels.index, dtype=object)
    return result


def _iso(date: datetime.date | None) -> str | None:
    return None if date is None else date.isoformat()
