from __future__ import annotations

import datetime

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.config.registers import Window
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.labels.calendars import Calendar, attach
from cropflow.labels.windows import (
    answer_queries,
    count_query,
    harvest_windows,
    stands_elsewhen,
    window_before,
    windows_of,
)

DATES = st.dates(datetime.date(2000, 1, 1), datetime.date(2040, 12, 31))
WINDOWS = st.builds(Window, months=st.integers(1, 24), months_before_harvest=st.integers(0, 24))
PROVINCES, CROPS = ("Fars", "Ilam", "Yazd"), ("canola", "cotton", "onion")


def date(text):
    return datetime.date.fromisoformat(text)


def calendar(sheet, crop, province, planted, harvest, end=None):
    return Calendar(
        sheet, crop, "", province, date(planted), None, date(harvest) if harvest else None, date(end) if end else None
    )


CALENDARS = [
    calendar("Canola", "canola", "Ilam", "2021-10-03", "2022-06-01", "2022-07-11"),
    calendar("Canola", "canola", "Fars", "2021-10-03", "2022-05-01"),
    calendar("Canola", "canola", "Yazd", "2021-09-02", None),
    calendar("Cotton", "cotton", "Ilam", "2021-05-05", "2021-10-01", "2021-10-02"),
    calendar("Cotton", "cotton", "Fars", "2021-05-05", "2021-10-23", "2021-12-21"),
    calendar("Onion_Winter", "onion", "Fars", "2021-09-23", "2022-01-21"),
    calendar("Onion_Autumn", "onion", "Fars", "2021-04-21", "2021-08-23"),
]


def parcels(*rows):
    columns = ("crop_code", "product", "province", "area_ha")
    table = pandas.DataFrame(rows, columns=columns).astype({name: "str" for name in columns[:3]})
    return attach(table.assign(variant="", parcel_id=table.index.astype("str")), CALENDARS)


def windows(**settings):
    return harvest_windows(CALENDARS, parse(Window, settings))


def test_six_months_that_end_one_month_before_harvest():
    assert window_before(date("2022-06-01"), Window()) == (date("2021-11-01"), date("2022-04-30"))
    assert window_before(date("2021-10-07"), Window()) == (date("2021-03-07"), date("2021-09-06"))


def test_a_day_that_a_month_lacks_becomes_its_last():
    assert window_before(date("2022-08-31"), Window(months=2, months_before_harvest=4)) == (
        date("2022-02-28"),
        date("2022-04-29"),
    )


@given(DATES, WINDOWS)
def test_a_window_ends_before_harvest_and_is_as_long_as_asked(harvest, window):
    start, end = window_before(harvest, window)
    assert start <= end < harvest
    whole = (end.year - start.year) * 12 + end.month - start.month
    assert whole - 1 <= window.months <= whole + 1
    apart = (harvest - end).days - 1
    assert 28 * window.months_before_harvest <= apart <= 31 * window.months_before_harvest


def test_every_calendar_with_a_harvest_has_a_window():
    found = windows()
    assert found.columns.tolist() == ["province", "crop", "calendar", "harvest_start", "window_start", "window_end"]
    assert found[["province", "calendar"]].agg("/".join, axis=1).tolist() == [
        "Fars/Canola", "Fars/Cotton", "Fars/Onion_Autumn", "Fars/Onion_Winter", "Ilam/Canola", "Ilam/Cotton",
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(PROVINCES), st.sampled_from(CROPS)), min_size=2, max_size=20),
    st.sampled_from([("canola", None), ("cotton", None), ("onion", "Onion_Winter"), ("onion", "Onion_Autumn")]),
    WINDOWS,
)
def test_two_parcels_of_a_province_get_the_same_window_whatever_their_own_crop(rows, query, window):
    table = parcels(*((crop, crop, province, 1.0) for province, crop in rows))
    found = windows_of(table["province"], harvest_windows(CALENDARS, window), *query)
    assert found.index.equals(table.index)
    for _, group in found.assign(province=table["province"]).groupby("province"):
        assert len(group.drop_duplicates()) == 1
    # And a parcel's own crop changes nothing: all parcels of cotton, asked the same.
    other = parcels(*(("cotton", "cotton", province, 1.0) for province, _ in rows))
    pandas.testing.assert_frame_equal(found, windows_of(other["province"], harvest_windows(CALENDARS, window), *query))


def test_a_province_without_a_window_has_none():
    found = windows_of(pandas.Series(["Ilam", "Yazd", None], dtype="str"), windows(), "canola")
    assert found["window_start"].isna().tolist() == [False, True, True]


def test_a_crop_with_several_calendars_is_asked_for_by_one_of_them():
    provinces = pandas.Series(["Fars"], dtype="str")
    with pytest.raises(CropflowError, match=r"'onion' has several calendars in one province \(Onion_Autumn, Onion_W"):
        windows_of(provinces, windows(), "onion")
    assert windows_of(provinces, windows(), "onion", "Onion_Winter")["window_end"].tolist() == ["2021-12-20"]
    with pytest.raises(CropflowError, match=r"window for 'rice'; there are windows for: canola \(Canola\), cotton"):
        windows_of(provinces, windows(), "rice")


def test_a_crop_harvested_before_the_other_is_planted_stands_at_another_time():
    table = parcels(
        ("cotton", "cotton", "Ilam", 1.0),  # harvested on the day before canola is planted
        ("cotton", "cotton", "Fars", 1.0),  # still harvested while canola grows
        ("onion", "onion", "Fars", 1.0),  # one of its two calendars overlaps
        ("wheat", "wheat", "Ilam", 1.0),  # no calendar
        ("canola", "canola", "Yazd", 1.0),  # no harvest known
        ("cotton", "cotton", None, 1.0),
    )
    canola = [found for found in CALENDARS if found.crop == "canola"]
    assert stands_elsewhen(table, canola).tolist() == [True, False, False, False, False, False]


def test_the_last_day_of_a_harvest_is_still_a_day_of_the_crop():
    own = [calendar("Cotton", "cotton", "Ilam", "2021-05-05", "2021-10-01", "2021-10-03")]
    table = attach(pandas.DataFrame({"crop_code": ["cotton"], "variant": [""], "province": ["Ilam"]}, dtype="str"), own)
    assert not stands_elsewhen(table, CALENDARS[:1]).any()


def count_queries(table, may_hold):
    area_ha = table["area_ha"].to_numpy()
    return [count_query(found, area_ha, windows()) for found in answer_queries(table, CALENDARS, windows(), may_hold)]


def test_a_query_tells_of_every_parcel_what_is_known_and_gives_all_the_same_dates():
    table = parcels(
        ("canola", "canola", "Ilam", 1.0), ("canola", "canola", "Yazd", 2.0), ("other", "ploughed", "Ilam", 16.0),
        ("other", "wheat", "Ilam", 32.0),
    )  # fmt: skip
    canola = next(answer_queries(table, CALENDARS, windows(), lambda product, crop: product == "ploughed"))
    assert set(canola["crop"]) == {"canola"}
    assert canola["label"].dtype == np.uint8
    assert canola["label"].tolist() == [1, 1, 254, 0]
    assert canola["window_start"].notna().tolist() == [True, False, True, True]
    assert canola["window_start"].dropna().nunique() == canola["window_end"].dropna().nunique() == 1


def test_counts_of_a_query_add_up_to_all_parcels():
    table = parcels(
        ("canola", "canola", "Ilam", 1.0),
        ("canola", "canola", "Yazd", 2.0),
        ("cotton", "cotton", "Fars", 4.0),
        ("cotton", "cotton", "Ilam", 8.0),
        ("other", "ploughed", "Ilam", 16.0),
        ("other", "wheat", "Ilam", 32.0),
    )
    found = count_queries(table, lambda product, crop: product == "ploughed")
    assert [(query["crop"], query["calendar"], query["provinces"]) for query in found] == [
        ("canola", "Canola", 2), ("cotton", "Cotton", 2), ("onion", "Onion_Autumn", 1), ("onion", "Onion_Winter", 1),
    ]  # fmt: skip
    assert {name: found[0][name]["hectares"] for name in ("positive", "negative", "unknown", "without_window")} == {
        "positive": 1.0,
        "negative": 36.0,
        "unknown": 24.0,
        "without_window": 2.0,
    }
    for query in found:
        assert sum(part["parcels"] for part in query.values() if isinstance(part, dict)) == len(table)


def test_lists_read_back_from_a_file_work_like_those_just_made(tmp_path):
    table = parcels(("cotton", "cotton", "Ilam", 1.0), ("canola", "canola", "Ilam", 1.0))
    table.to_parquet(tmp_path / "parcels.parquet")
    again = pandas.read_parquet(tmp_path / "parcels.parquet")
    canola = CALENDARS[:1]
    assert np.array_equal(stands_elsewhen(again, canola), stands_elsewhen(table, canola))
    assert count_queries(again, lambda *_: False) == count_queries(table, lambda *_: False)
