from __future__ import annotations

import datetime

import pandas
import pytest

from cropflow.composites.harvest import read_site_parcels, site_windows
from cropflow.config.imagery import HarvestWindow
from cropflow.errors import CropflowError

EARLY, LATE = ("2021-10-05", "2022-04-04"), ("2021-12-05", "2022-06-04")


def parcels(**areas: float) -> pandas.DataFrame:
    return pandas.DataFrame({"parcel_id": list(areas), "site_area_ha": list(areas.values())})


def queries(
    windows: dict[str, tuple[str, str] | None], crop: str = "onion", calendar: str = "Onion"
) -> pandas.DataFrame:
    rows = [(parcel, crop, calendar, *(dates or (None, None))) for parcel, dates in windows.items()]
    return pandas.DataFrame(rows, columns=["parcel_id", "crop", "calendar", "window_start", "window_end"])


def test_a_site_takes_the_window_that_most_of_its_parcels_area_has():
    found = site_windows(
        {"a": parcels(p=1, q=2, r=1.5), "b": parcels(p=1)},
        queries({"p": EARLY, "q": LATE, "r": EARLY}),
        HarvestWindow(crop="onion"),
    )
    assert [day.isoformat() for day in found["a"].calendar.starts] == [
        "2021-10-05", "2021-11-05", "2021-12-05", "2022-01-05", "2022-02-05", "2022-03-05",
    ]  # fmt: skip
    assert found["a"].calendar.last == datetime.date(2022, 4, 4)
    assert (found["a"].parcels, found["a"].others, found["a"].without) == (2, 1, 0)
    assert found["b"].others == 0


def test_of_windows_with_the_same_area_the_earlier_one_is_taken():
    found = site_windows({"a": parcels(p=1, q=1)}, queries({"p": LATE, "q": EARLY}), HarvestWindow(crop="onion"))
    assert found["a"].calendar.starts[0].isoformat() == EARLY[0]


def test_parcels_without_a_window_do_not_vote():
    found = site_windows({"a": parcels(p=1, q=9)}, queries({"p": LATE, "q": None}), HarvestWindow(crop="onion"))
    assert (found["a"].calendar.starts[0].isoformat(), found["a"].without) == (LATE[0], 1)


def test_a_crop_that_is_not_asked_for_is_refused_with_those_that_are():
    with pytest.raises(CropflowError, match=r"'tomato'; the register has windows for: onion \(Onion\)"):
        site_windows({"a": parcels(p=1)}, queries({"p": LATE}), HarvestWindow(crop="tomato"))


def test_a_crop_with_several_calendars_needs_one_by_name():
    both = pandas.concat([queries({"p": EARLY}, calendar="Autumn"), queries({"p": LATE}, calendar="Spring")])
    with pytest.raises(CropflowError, match=r"several calendars \(Autumn, Spring\)"):
        site_windows({"a": parcels(p=1)}, both, HarvestWindow(crop="onion"))
    found = site_windows({"a": parcels(p=1)}, both, HarvestWindow(crop="onion", calendar="Spring"))
    assert found["a"].calendar.starts[0].isoformat() == LATE[0]


def test_a_site_without_a_window_is_refused():
    with pytest.raises(CropflowError, match="Site a has 1 parcels, and none lies in a province with a window"):
        site_windows({"a": parcels(x=1)}, queries({"p": LATE}), HarvestWindow(crop="onion"))


def test_windows_of_different_length_are_refused():
    with pytest.raises(CropflowError, match="Windows have 1, 6 months"):
        site_windows(
            {"a": parcels(p=1), "b": parcels(q=1)},
            queries({"p": EARLY, "q": ("2022-01-01", "2022-01-31")}),
            HarvestWindow(crop="onion"),
        )


def test_the_parcels_of_a_site_are_read_by_its_name(tmp_path):
    parcels(p=1.5).to_parquet(tmp_path / "a.parquet")
    assert read_site_parcels(tmp_path)["a"].to_dict("list") == {"parcel_id": ["p"], "site_area_ha": [1.5]}
