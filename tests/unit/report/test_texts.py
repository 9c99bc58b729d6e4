from __future__ import annotations

import pytest

from cropflow.report.texts import css_colour, listed, month_labels, number, percent, period_title, plural, score


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 10, "0 %"), (10, 10, "100 %"), (1, 1000, "< 1 %"), (999, 1000, "> 99 %"), (1, 3, "33 %"), (0, 0, "–")],
)
def test_a_share_is_never_rounded_to_none_or_all(part, whole, expected):
    assert percent(part, whole) == expected


def test_what_is_not_defined_is_a_dash():
    assert (number(None), score(None), listed([])) == ("–", "–", "–")


def test_numbers_have_thousands_separated():
    assert (number(1234567), number(1234.56, 1), score(0.5)) == ("1,234,567", "1,234.6", "0.500")


def test_counts_agree_with_what_they_count():
    assert (plural(1, "site"), plural(2, "site"), plural(0, "geometry", "geometries")) == (
        "1 site",
        "2 sites",
        "0 geometries",
    )


def test_months_name_the_year_first_and_in_january():
    labels = month_labels(["2018-11-01", "2018-12-01", "2019-01-01", "2019-02-01"])
    assert labels == ["Nov\n2018", "Dec", "Jan\n2019", "Feb"]


def test_a_colour_is_written_for_a_style_sheet():
    assert css_colour((0, 255, 10)) == "#00ff0a"


def test_of_several_periods_in_a_month_the_first_is_labelled():
    assert month_labels(["2018-12-01", "2018-12-16", "2019-01-01", "2019-01-16"]) == ["Dec\n2018", "", "Jan\n2019", ""]


def test_a_period_is_called_by_its_month_or_its_first_day():
    assert period_title("2018-12-01", ["2018-12-01", "2019-01-01"]) == "Dec 2018"
    assert period_title("2018-12-01", ["2018-12-01", "2018-12-16"]) == "1 Dec 2018"
    assert period_title("2018-12-05", ["2018-12-05", "2019-01-05"]) == "5 Dec 2018"
