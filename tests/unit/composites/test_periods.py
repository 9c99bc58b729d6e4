from __future__ import annotations

import datetime
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.composites import Calendar, season_calendar
from cropflow.composites.periods import check_season, days_calendar, solar_days, window_calendar
from cropflow.config.imagery import Series
from cropflow.errors import CropflowError

DAYS = st.dates(datetime.date(2015, 7, 1), datetime.date(2035, 12, 31))
KINDS = st.sampled_from(["month", "half-month", "dekad", *range(1, 61)])
ONE_DAY = datetime.timedelta(days=1)


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def series(kind: str | int = "month", **others) -> Series:
    return Series(period="days", period_days=kind, **others) if isinstance(kind, int) else Series(period=kind, **others)


def starts(calendar: Calendar) -> list[str]:
    return [start.isoformat() for start in calendar.starts]


def test_a_season_is_widened_to_whole_months():
    calendar = season_calendar(day("2018-01-15"), day("2018-03-01"), series())
    assert starts(calendar) == ["2018-01-01", "2018-02-01", "2018-03-01"]
    assert calendar.ends == (day("2018-01-31"), day("2018-02-28"), day("2018-03-31"))


def test_a_season_may_run_across_new_year():
    calendar = season_calendar(day("2020-11-30"), day("2021-02-01"), series())
    assert starts(calendar) == ["2020-11-01", "2020-12-01", "2021-01-01", "2021-02-01"]


def test_half_months_begin_on_the_first_and_the_sixteenth():
    calendar = season_calendar(day("2020-02-20"), day("2020-03-02"), series("half-month"))
    assert starts(calendar) == ["2020-02-16", "2020-03-01"]
    assert calendar.last == day("2020-03-15")


def test_the_third_dekad_ends_with_the_month():
    calendar = season_calendar(day("2020-02-11"), day("2020-02-29"), series("dekad"))
    assert list(zip(starts(calendar), calendar.ends, strict=True)) == [
        ("2020-02-11", day("2020-02-20")),
        ("2020-02-21", day("2020-02-29")),
    ]


def test_a_short_rest_of_days_joins_the_period_before_it():
    calendar = season_calendar(day("2021-01-01"), day("2021-01-31"), series(14))
    assert (starts(calendar), calendar.last) == (["2021-01-01", "2021-01-15"], day("2021-01-31"))
    calendar = season_calendar(day("2021-01-01"), day("2021-01-31"), series(16))
    assert (starts(calendar), calendar.last) == (["2021-01-01", "2021-01-17"], day("2021-01-31"))


@given(DAYS, DAYS, KINDS)
def test_periods_are_consecutive_hold_both_ends_and_stay_within_the_months(one, other, kind):
    start, end = sorted((one, other))
    calendar = season_calendar(start, end, series(kind))
    assert calendar.starts[0] <= start and calendar.last >= end
    assert calendar.starts[0] >= start.replace(day=1)
    assert (calendar.last + ONE_DAY).day == 1 or calendar.last.month == end.month
    assert all(before + ONE_DAY == after for before, after in zip(calendar.ends, calendar.starts[1:], strict=False))
    lengths = [(last - first).days + 1 for first, last in zip(calendar.starts, calendar.ends, strict=True)]
    shortest, longest = {"month": (28, 31), "half-month": (13, 16), "dekad": (8, 11)}.get(kind, (1, 91))
    assert shortest <= min(lengths) and max(lengths) <= longest
    if isinstance(kind, int):
        assert all(length == kind for length in lengths[:-1])
        assert len(lengths) == 1 or kind / 2 <= lengths[-1] < 1.5 * kind


@given(DAYS, DAYS, DAYS, KINDS)
def test_each_day_falls_into_the_period_that_holds_it(a, b, c, kind):
    start, inside, end = sorted((a, b, c))
    calendar = season_calendar(start, end, series(kind))
    index = int(calendar.period_of([f"{inside}T23:59:59.999Z"])[0])
    assert calendar.starts[index] <= inside <= calendar.ends[index]


def test_a_day_outside_belongs_to_no_period():
    calendar = season_calendar(day("2018-01-01"), day("2018-01-31"), series())
    assert calendar.period_of(["2017-12-31T23:59:59Z", "2018-02-01T00:00:00Z"]).tolist() == [-1, -1]


def test_a_scene_just_after_midnight_in_another_zone_belongs_to_its_day_in_utc():
    calendar = season_calendar(day("2018-01-01"), day("2018-02-28"), series())
    assert calendar.period_of(["2018-02-01T00:30:00+01:00", "2018-02-01T00:30:00Z"]).tolist() == [0, 1]


def test_a_time_without_a_zone_is_utc():
    calendar = season_calendar(day("2018-01-01"), day("2018-02-28"), series())
    assert calendar.period_of([datetime.datetime(2018, 2, 1), datetime.date(2018, 1, 31)]).tolist() == [1, 0]


def test_middles_are_days_since_the_season_began():
    calendar = season_calendar(day("2018-01-01"), day("2018-03-31"), series())
    assert calendar.middles.tolist() == [15.5, 45.0, 74.5]


def test_a_cut_leaves_out_what_comes_after_it_and_keeps_its_own_period():
    calendar = season_calendar(day("2022-10-01"), day("2023-09-30"), series(cut="05-10"))
    assert (starts(calendar)[0], starts(calendar)[-1], len(calendar)) == ("2022-10-01", "2023-05-01", 8)
    assert (calendar.last, calendar.seen) == (day("2023-05-31"), day("2023-05-10"))
    assert calendar.period_of(["2023-05-10T23:00:00Z", "2023-05-11T00:00:00Z"]).tolist() == [7, -1]


def test_a_cut_is_the_first_such_day_of_the_season_and_exists_in_every_year():
    calendar = season_calendar(day("2022-10-01"), day("2023-09-30"), series(cut="02-29"))
    assert calendar.seen == day("2023-02-28")
    calendar = season_calendar(day("2022-01-01"), day("2023-12-31"), series(cut="06-30"))
    assert calendar.seen == day("2022-06-30")


def test_a_cut_outside_the_season_is_refused():
    with pytest.raises(CropflowError, match=r"cut 12-24 .* run from 2023-03-01 to 2023-09-30"):
        season_calendar(day("2023-03-02"), day("2023-09-30"), series(cut="12-24"))


@given(DAYS, st.integers(1, 24))
def test_the_months_of_a_window_begin_where_it_does(start, months):
    ordinal = start.year * 12 + start.month - 1 + months
    following = min(start.day, 28)
    start = start.replace(day=following)
    end = datetime.date(ordinal // 12, ordinal % 12 + 1, following) - ONE_DAY
    calendar = window_calendar(start, end)
    assert len(calendar) == months and calendar.last == end
    assert {one.day for one in calendar.starts} == {start.day}
    assert all((b - a).days in range(28, 32) for a, b in itertools.pairwise(calendar.starts))


def test_a_window_of_broken_months_is_refused():
    with pytest.raises(CropflowError, match="no whole number of months"):
        window_calendar(day("2022-01-05"), day("2022-03-20"))


def test_a_scene_outside_the_months_of_its_season_is_refused():
    check_season(["2018-01-01T00:00:00Z", "2018-02-28T23:59:59Z"], day("2018-01-15"), day("2018-02-02"))
    for time in ("2017-12-31T23:59:59Z", "2018-03-01T00:00:00Z"):
        with pytest.raises(CropflowError, match="outside the season, whose months run from 2018-01 to 2018-02"):
            check_season([time], day("2018-01-15"), day("2018-02-02"))


def test_a_time_that_is_no_time_is_refused():
    with pytest.raises(CropflowError, match="'yesterday'; expected ISO 8601"):
        days_calendar([day("2018-01-01")]).period_of(["yesterday"])


def test_a_season_that_ends_before_it_starts_is_refused():
    with pytest.raises(CropflowError, match="before its start"):
        season_calendar(day("2018-02-01"), day("2018-01-31"), series())


def test_one_overpass_is_one_solar_day_wherever_it_is():
    # Midnight in UTC passes in the middle of the morning over Fiji.
    assert solar_days(["2020-05-01T23:59:50Z", "2020-05-02T00:00:10Z"], 178.0) == [day("2020-05-02")] * 2
    assert solar_days(["2020-05-01T10:40:00Z"], 3.0) == [day("2020-05-01")]


def test_each_date_is_its_own_period():
    dates = [day("2020-05-01"), day("2020-05-06")]
    assert days_calendar(dates).period_of(dates).tolist() == [0, 1]
    assert np.array_equal(days_calendar(dates).starts, dates)
