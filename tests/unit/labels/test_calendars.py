from __future__ import annotations

import csv
import datetime

import openpyxl
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.labels.calendars import (
    COLUMNS,
    DATES,
    Entry,
    alternatives,
    attach,
    check_provinces,
    dated,
    gregorian,
    read_calendars,
)
from cropflow.labels.registers.isrc_products import SHEETS

HEADER = ("Province", "Planting Start Date", "Planting End Date", "Harvest Start Date", "Harvest End Date")
ILAM = ("Ilam", "07-11", "08-30", "03-11", "04-20")
CANOLA = {"Canola": ("canola", "")}
# First day of the Solar Hijri year, as the Iranian calendar centre gives it.
NEW_YEARS = {1399: (2020, 3, 20), 1400: (2021, 3, 21), 1401: (2022, 3, 21), 1403: (2024, 3, 20), 1404: (2025, 3, 21)}
MONTH_DAYS = st.integers(1, 12).flatmap(
    lambda month: st.tuples(st.just(month), st.integers(1, 31 if month < 7 else 30 if month < 12 else 29))
)


@pytest.fixture
def workbook(tmp_path):
    def write(sheets, header=HEADER):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in (header, *rows):
                sheet.append(row)
        book.save(tmp_path / "calendar.xlsx")
        return tmp_path / "calendar.xlsx"

    return write


def entry(*days, sheet="Canola", crop="canola", variant="", province="Ilam"):
    return Entry(sheet, crop, variant, province, tuple(days))


def date(text):
    return datetime.date.fromisoformat(text)


@given(st.sampled_from(sorted(NEW_YEARS)), MONTH_DAYS)
def test_a_date_lies_as_many_days_after_new_year_as_its_months_have(year, month_day):
    month, day = month_day
    before = 31 * min(month - 1, 6) + 30 * max(month - 7, 0) + day - 1
    assert gregorian(year, month, day) == datetime.date(*NEW_YEARS[year]) + datetime.timedelta(days=before)


def test_the_thirty_first_of_the_second_month_is_a_date():
    assert gregorian(1401, 2, 31) == date("2022-05-21")


def test_a_crop_planted_in_autumn_is_harvested_in_the_next_year(workbook):
    (calendar,) = dated(read_calendars(workbook({"Canola": [ILAM]}), CANOLA), 1400)
    assert (calendar.sheet, calendar.crop, calendar.province) == ("Canola", "canola", "Ilam")
    assert calendar.dates == tuple(map(date, ("2021-10-03", "2021-11-21", "2022-06-01", "2022-07-11")))


def test_planting_itself_may_cross_the_turn_of_the_year():
    (calendar,) = dated([entry((12, 11), (2, 10), (7, 1), (9, 10))], 1400)
    assert calendar.dates == tuple(map(date, ("2022-03-02", "2022-04-30", "2022-09-23", "2022-12-01")))


def test_a_sheet_may_begin_in_the_second_year():
    (calendar,) = dated([entry((2, 15), (3, 31), (7, 15), (9, 30))], 1400, ["Canola"])
    assert calendar.planting_start == gregorian(1401, 2, 15)
    assert calendar.harvest_start == gregorian(1401, 7, 15)
    with pytest.raises(CropflowError, match=r"second_year is \['Kanola'\]; expected sheets: Canola"):
        dated([entry((2, 15), None, None, None)], 1400, ["Kanola"])


def test_a_dash_an_empty_cell_and_blanks_are_read(workbook):
    rows = [("Ilam ", " 07-11", None, "-", ""), (None, None, None, None, None)]
    (found,) = read_calendars(workbook({"Canola": rows}), CANOLA)
    assert (found.province, found.days) == ("Ilam", ((7, 11), None, None, None))


def test_persian_digits_are_digits(workbook):
    (found,) = read_calendars(workbook({"Canola": [("Ilam", "۰۷-۱۱", "-", "-", "-")]}), CANOLA)
    assert found.days[0] == (7, 11)


def test_columns_are_found_by_name_whatever_their_order(workbook):
    path = workbook({"Canola": [tuple(reversed(ILAM))]}, tuple(text.upper() for text in reversed(HEADER)))
    assert read_calendars(path, CANOLA)[0].days == ((7, 11), (8, 30), (3, 11), (4, 20))


@given(st.lists(st.none() | MONTH_DAYS, min_size=4, max_size=4), st.integers(1395, 1405))
def test_dates_never_go_back_and_begin_in_the_first_year(days, year):
    (calendar,) = dated([entry(*days)], year)
    known = [found for found in calendar.dates if found is not None]
    assert known == sorted(known)
    planted = [found for found in calendar.dates[:2] if found is not None]
    assert all(gregorian(year, 1, 1) <= found for found in planted[:1])
    assert all(found < gregorian(year + 1, 1, 1) for found in planted[:1])
    assert all(told is not None or kept is None for told, kept in zip(days, calendar.dates, strict=True))


def test_a_harvest_of_nearly_a_year_has_no_end(caplog):
    (calendar,) = dated([entry((4, 1), (5, 31), (8, 11), (7, 30))], 1400)
    assert calendar.harvest_start == date("2021-11-02")
    assert calendar.harvest_end is None
    assert "harvest 2021-11-02 to 2022-10-22 takes 354 days, more than 183" in caplog.text


def test_a_harvest_without_any_planting_has_no_year(caplog):
    (calendar,) = dated([entry(None, None, (3, 1), (3, 31))], 1400)
    assert calendar.dates == (None, None, None, None)
    assert "no date of planting tells the year of the harvest" in caplog.text


def test_a_day_that_only_leap_years_have_is_refused_in_others():
    assert dated([entry((12, 30), None, None, None)], 1399)[0].planting_start == date("2021-03-20")
    with pytest.raises(CropflowError, match=r"Ilam: planting_start is '12-30'; expected a date that exists in .* 1400"):
        dated([entry((12, 30), None, None, None)], 1400)


@pytest.mark.parametrize(
    "cell", ["13-01", "00-10", "02-32", "07-31", "0215", "2-1-3", "soon", datetime.date(2022, 2, 1)]
)
def test_an_impossible_date_names_its_cell(workbook, cell):
    path = workbook({"Canola": [ILAM, ("Fars", "07-11", cell, "-", "-")]})
    with pytest.raises(
        CropflowError, match=r"Planting End Date of calendar.xlsx, sheet Canola, row 3 is '.*'; expected"
    ):
        read_calendars(path, CANOLA)


def test_a_renamed_sheet_is_one_line(workbook):
    with pytest.raises(CropflowError, match=r"unknown Sheet1; missing Canola\. Rename them") as refused:
        read_calendars(workbook({"Sheet1": [ILAM]}), CANOLA)
    assert "\n" not in str(refused.value)


def test_a_missing_column_is_named(workbook):
    path = workbook({"Canola": [ILAM[:4]]}, HEADER[:4])
    with pytest.raises(CropflowError, match=r"sheet Canola, has no column 'Harvest End Date'; it has: Province, Plant"):
        read_calendars(path, CANOLA)


def test_an_empty_sheet_has_no_columns(workbook):
    with pytest.raises(CropflowError, match=r"has no column 'Province', .*; it has: none"):
        read_calendars(workbook({"Canola": []}, ()), CANOLA)


def test_a_province_has_one_row_and_every_row_a_province(workbook):
    with pytest.raises(CropflowError, match=r"row 3: province 'Ilam' has a row already"):
        read_calendars(workbook({"Canola": [ILAM, ILAM]}), CANOLA)
    with pytest.raises(CropflowError, match=r"row 2, has no province"):
        read_calendars(workbook({"Canola": [("", *ILAM[1:])]}), CANOLA)


@pytest.mark.parametrize("name", ["calendar.xlsx", "calendar.xls"])
def test_a_file_that_is_no_workbook_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no workbook" * 99)
    with pytest.raises(CropflowError, match=r"cannot be read as an Excel workbook .* expected .xlsx"):
        read_calendars(tmp_path / name, CANOLA)


def test_a_truncated_workbook_is_one_line(workbook):
    path = workbook({"Canola": [ILAM]})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CropflowError, match="cannot be read as an Excel workbook"):
        read_calendars(path, CANOLA)


def test_a_missing_workbook_names_its_key(tmp_path):
    with pytest.raises(CropflowError, match=r"do not exist; check registers.<name>.calendar.path"):
        read_calendars(tmp_path / "none.xlsx", CANOLA)


def test_a_misspelt_province_is_refused():
    calendars = dated([entry((7, 11), None, None, None, province="Illam")], 1400)
    with pytest.raises(CropflowError, match=r"'Illam' \(Canola\); it has Fars, Ilam"):
        check_provinces(calendars, ["Ilam", "Fars"])
    check_provinces(calendars, ["Illam"])


BEETS = dated(
    [
        entry((2, 21), (3, 10), (8, 1), (8, 30), sheet="Beet", crop="sugar_beet"),
        entry((12, 11), (2, 10), (7, 1), (9, 10), sheet="Beet_Spring", crop="sugar_beet", variant="spring"),
        entry((7, 1), (8, 30), (2, 21), None, sheet="Beet_Autumn", crop="sugar_beet", variant="autumn"),
        entry((7, 1), (8, 30), (2, 21), (3, 10), province="Fars"),
    ],
    1400,
)


@pytest.mark.parametrize(
    ("crop", "variant", "province", "sheets"),
    [
        ("sugar_beet", "", "Ilam", ["Beet", "Beet_Spring", "Beet_Autumn"]),
        ("sugar_beet", "spring", "Ilam", ["Beet_Spring"]),
        ("sugar_beet", "spring", "Fars", []),
        ("canola", "rainfed", "Fars", ["Canola"]),
        ("canola", "", "Ilam", []),
        ("maize", "", "Ilam", []),
    ],
)
def test_a_variant_that_the_calendars_know_leaves_its_own_alone(crop, variant, province, sheets):
    assert [calendar.sheet for calendar in alternatives(BEETS, crop, variant, province)] == sheets


def test_several_calendars_are_lists_of_one_parcel():
    parcels = pandas.DataFrame(
        {
            "crop_code": pandas.Series(["sugar_beet", "canola", None, "canola"], dtype="str"),
            "variant": pandas.Series(["", "", "", ""], dtype="str"),
            "province": pandas.Series(["Ilam", "Fars", "Ilam", None], dtype="str"),
        }
    ).set_axis([5, 6, 7, 8])
    result = attach(parcels, BEETS)
    assert result.index.tolist() == [5, 6, 7, 8]
    assert result.columns.tolist() == [*parcels.columns, *COLUMNS]
    assert result["calendar"].tolist() == [["Beet", "Beet_Spring", "Beet_Autumn"], ["Canola"], [], []]
    assert result["harvest_start"].tolist() == [["2021-10-23", "2022-09-23", "2022-05-11"], ["2022-05-11"], [], []]
    assert result["harvest_end"].tolist() == [["2021-11-21", "2022-12-01", None], ["2022-05-31"], [], []]


def test_the_real_workbook_has_the_76_rows_of_the_reference(shared):
    entries = read_calendars(shared / "data/isrc_iran/files/Crops/CropsCalendar.xlsx", SHEETS)
    rows = [
        [found.sheet, found.province, *("-" if day is None else f"{day[0]:02d}-{day[1]:02d}" for day in found.days)]
        for found in entries
    ]
    with (shared / "reference/classes/B_isrc_crop_calendar_jalali.csv").open(encoding="utf-8") as file:
        expected = list(csv.reader(file))[1:]
    assert len(rows) == 76
    assert sorted(rows) == sorted(expected)


def test_harvest_begins_on_the_dates_that_are_published(shared):
    calendars = dated(read_calendars(shared / "data/isrc_iran/files/Crops/CropsCalendar.xlsx", SHEETS), 1400)
    found = {(calendar.crop, str(calendar.harvest_start)) for calendar in calendars}
    with (shared / "reference/classes/B_isrc_roi_counts_by_harvest_date.csv").open(encoding="utf-8") as file:
        published = {
            (row["main_type"].replace("sugarbeet", "sugar_beet"), row["harvest_date"]) for row in csv.DictReader(file)
        }
    assert len(published) == 27
    assert published <= found


def test_every_date_of_the_real_workbook_has_its_own_name(shared):
    calendars = dated(read_calendars(shared / "data/isrc_iran/files/Crops/CropsCalendar.xlsx", SHEETS), 1400)
    missing = [
        (calendar.sheet, calendar.province, name)
        for calendar in calendars
        for name, found in zip(DATES, calendar.dates, strict=True)
        if found is None
    ]
    assert missing == [
        ("Canola", "Ardabil", "harvest_start"),
        ("Canola", "Ardabil", "harvest_end"),
        ("Maize", "Fars", "harvest_end"),
        ("Onion_Spring", "Fars", "harvest_start"),
        ("Onion_Spring", "Fars", "harvest_end"),
    ]
