from __future__ import annotations

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.composites import calendar_months, period_of
from cropflow.errors import CropflowError

DAYS = st.dates(datetime.date(2015, 7, 1), datetime.date(2035, 12, 31))


def test_a_season_is_widened_to_whole_months():
    months = calendar_months(datetime.date(2018, 1, 15), datetime.date(2018, 3, 1))
    assert months == [datetime.date(2018, 1, 1), datetime.date(2018, 2, 1), datetime.date(2018, 3, 1)]


def test_a_season_may_run_across_new_year():
    months = calendar_months(datetime.date(2020, 11, 30), datetime.date(2021, 2, 1))
    assert [f"{month:%Y-%m}" for month in months] == ["2020-11", "2020-12", "2021-01", "2021-02"]


@given(DAYS, DAYS)
def test_months_are_consecutive_and_hold_both_ends(one: datetime.date, other: datetime.date):
    start, end = sorted((one, other))
    months = calendar_months(start, end)
    assert months[0] == start.replace(day=1)
    assert months[-1] == end.replace(day=1)
    # From one first day, 31 days later is always the next month.
    assert all((a + datetime.timedelta(days=31)).replace(day=1) == b for a, b in itertools.pairwise(months))


@given(DAYS, DAYS, DAYS)
def test_each_day_of_the_season_falls_into_the_month_that_holds_it(
    a: datetime.date, b: datetime.date, c: datetime.date
):
    start, day, end = sorted((a, b, c))
    months = calendar_months(start, end)
    period = int(period_of([f"{day}T23:59:59.999Z"], months)[0])
    assert months[period] == day.replace(day=1)


def test_a_scene_just_after_midnight_in_another_zone_belongs_to_its_day_in_utc():
    months = calendar_months(datetime.date(2018, 1, 1), datetime.date(2018, 2, 28))
    assert period_of(["2018-02-01T00:30:00+01:00", "2018-02-01T00:30:00Z"], months).tolist() == [0, 1]


def test_a_time_without_a_zone_is_utc():
    months = calendar_months(datetime.date(2018, 1, 1), datetime.date(2018, 2, 28))
    assert period_of([datetime.datetime(2018, 2, 1)], months).tolist() == [1]


@pytest.mark.parametrize("time", ["2017-12-31T23:59:59Z", "2018-03-01T00:00:00Z"])
def test_a_scene_outside_the_season_is_refused(time: str):
    months = calendar_months(datetime.date(2018, 1, 1), datetime.date(2018, 2, 28))
    with pytest.raises(CropflowError, match="outside the season, whose months run from 2018-01 to 2018-02"):
        period_of([time], months)


def test_a_time_that_is_no_time_is_refused():
    with pytest.raises(CropflowError, match="'yesterday'; expected ISO 8601"):
        period_of(["yesterday"], [datetime.date(2018, 1, 1)])


def test_a_season_that_ends_before_it_starts_is_refused():
    with pytest.raises(CropflowError, match="before its start"):
        calendar_months(datetime.date(2018, 2, 1), datetime.date(2018, 1, 31))
    with pytest.raises(CropflowError, match="no period"):
        period_of(["2018-01-01"], [])
