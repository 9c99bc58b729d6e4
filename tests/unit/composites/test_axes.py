from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest

from cropflow.composites.axes import site_axes
from cropflow.composites.periods import window_calendar
from cropflow.config.imagery import Series
from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid

START, END = datetime.date(2022, 10, 1), datetime.date(2023, 9, 30)
GRID = Grid(32631, 500_000.0, 5_600_000.0, 4, 4, 10.0)


def site(*times: str, name: str = "a") -> SimpleNamespace:
    return SimpleNamespace(site=name, grid=GRID, times=times)


def test_a_season_has_one_calendar_and_each_scene_its_period():
    axis = site_axes([site("2022-10-05T10:50:00Z", "2023-09-30T10:50:00Z")], START, END, Series())["a"]
    assert axis.of_scenes.tolist() == [0, 11]
    assert axis.attributes["periods"][0] == "2022-10-01" and len(axis.attributes["periods"]) == 12
    assert not axis.repeated


def test_scenes_after_the_cut_are_left_out_and_said(caplog):
    times = ["2023-05-10T10:50:00Z", "2023-05-15T10:50:00Z"]
    with caplog.at_level("INFO", "cropflow.composites"):
        axis = site_axes([site(*times)], START, END, Series(cut="05-10"))["a"]
    assert axis.of_scenes.tolist() == [7, -1]
    assert "site a: 1 of 2 scenes lie outside the periods and are left out" in caplog.text


def test_acquisitions_are_the_dates_themselves_one_per_overpass():
    times = ["2022-10-05T10:50:00Z", "2022-10-05T10:50:14Z", "2022-10-10T10:50:00Z", "2023-07-01T10:50:00Z"]
    axis = site_axes([site(*times)], START, END, Series(period="acquisitions", cut="06-30"))["a"]
    assert axis.attributes["periods"] == ["2022-10-05", "2022-10-10"]
    assert axis.of_scenes.tolist() == [0, 0, 1, -1]
    assert axis.repeated


def test_a_site_without_a_date_has_no_acquisitions():
    with pytest.raises(CropflowError, match="Site a has no scene between 2022-10-01 and 2023-09-30"):
        site_axes([site()], START, END, Series(period="acquisitions"))


def test_two_scenes_of_a_day_that_are_left_out_do_not_repeat():
    times = ["2023-05-10T10:50:00Z", "2023-05-15T10:50:00Z", "2023-05-15T10:50:14Z"]
    assert not site_axes([site(*times)], START, END, Series(cut="05-10"))["a"].repeated


def test_windows_differ_in_dates_and_not_in_names():
    windows = {
        "a": window_calendar(datetime.date(2022, 11, 5), datetime.date(2023, 1, 4)),
        "b": window_calendar(datetime.date(2022, 12, 5), datetime.date(2023, 2, 4)),
    }
    sites = [site("2022-11-04T10:50:00Z", "2022-12-05T10:50:00Z"), site("2022-12-05T10:50:00Z", name="b")]
    found = site_axes(sites, START, END, Series(), windows)
    assert found["a"].of_scenes.tolist() == [-1, 1] and found["b"].of_scenes.tolist() == [0]
    assert found["a"].attributes["periods"] == ["2022-11-05", "2022-12-05"]
    assert found["b"].attributes["periods"] == ["2022-12-05", "2023-01-05"]
    assert found["a"].attributes["period_names"] == found["b"].attributes["period_names"]


def test_a_window_outside_the_season_is_refused():
    windows = {"a": window_calendar(datetime.date(2022, 9, 5), datetime.date(2022, 11, 4))}
    with pytest.raises(CropflowError, match=r"window of site a runs from 2022-09-05 to 2022-11-04; .* from 2022-10-01"):
        site_axes([site()], START, END, Series(), windows)
