"""Gaps filled linearly in time, and in dB; the rule of the neighbours is tested beside the median."""

from __future__ import annotations

import datetime
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites import fill_gaps
from cropflow.composites.gaps import middle_days


def plain_fill(composite, observations, max_gap, between, nodata):
    """The definition, pixel by pixel: ``between(low, high, before, period, after)`` is an exact value."""
    out, filled = composite.astype(int), np.zeros(observations.shape, dtype=bool)
    for p, y, x in np.ndindex(observations.shape):
        seen = [q for q in range(len(observations)) if observations[q, y, x] > 0]
        if p in seen:
            continue
        out[p, :, y, x] = nodata
        before, after = [q for q in seen if q < p], [q for q in seen if q > p]
        run = (after[0] if after else len(observations)) - (before[-1] if before else -1) - 1
        if not seen or run > max_gap:
            continue
        filled[p, y, x] = True
        for band in range(composite.shape[1]):
            first, last = (before or after[:1])[-1], (after or before[-1:])[0]
            low, high = int(composite[first, band, y, x]), int(composite[last, band, y, x])
            exact = low if first == last else between(low, high, first, p, last)
            out[p, band, y, x] = math.floor(exact + Fraction(1, 2))
    return out, filled


@st.composite
def series(draw, dtype, values):
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 4)))
    observations = draw(arrays.arrays(np.uint8, (shape[0], *shape[2:]), elements=st.sampled_from([0, 0, 1, 255])))
    composite = draw(arrays.arrays(dtype, shape, elements=values))
    lengths = draw(st.lists(st.integers(1, 31), min_size=shape[0], max_size=shape[0]))
    starts = [datetime.date(2020, 1, 1) + datetime.timedelta(days=sum(lengths[:index])) for index in range(shape[0])]
    end = starts[-1] + datetime.timedelta(days=lengths[-1] - 1)
    return composite, observations, draw(st.integers(0, 9)), middle_days(starts, end)


def on_the_line(days):
    exact = [Fraction(day) for day in days]

    def between(low, high, before, period, after):
        return low + (high - low) * (exact[period] - exact[before]) / (exact[after] - exact[before])

    return between


@settings(deadline=None, max_examples=300)
@given(series(np.uint16, st.sampled_from([1, 2, 5, 10000, 65534, 65535])))
def test_the_linear_fill_equals_its_definition(case):
    composite, observations, max_gap, days = case
    found, filled = fill_gaps(composite, observations, max_gap, "linear", days)
    expected, marked = plain_fill(composite, observations, max_gap, on_the_line(days), 0)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(filled, marked)


@settings(deadline=None, max_examples=200)
@given(series(np.int16, st.integers(-32767, 32767)), st.sampled_from(["neighbours", "linear"]))
def test_values_below_zero_are_filled_by_both_rules(case, rule):
    composite, observations, max_gap, days = case
    between = on_the_line(days) if rule == "linear" else lambda low, high, *_: Fraction(low + high, 2)
    found, filled = fill_gaps(composite, observations, max_gap, rule, days)
    expected, marked = plain_fill(composite, observations, max_gap, between, -32768)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(filled, marked)


@settings(deadline=None, max_examples=200)
@given(series(np.int16, st.integers(-3500, 1000)), st.sampled_from(["neighbours", "linear"]))
def test_decibels_are_averaged_as_powers(case, rule):
    composite, observations, max_gap, days = case

    def between(low, high, before, period, after):
        share = (days[period] - days[before]) / (days[after] - days[before]) if rule == "linear" else 0.5
        power = (1 - share) * 10 ** (low / 1000) + share * 10 ** (high / 1000)
        return Fraction(1000 * math.log10(power))

    found, filled = fill_gaps(composite, observations, max_gap, rule, days, power=True)
    expected, marked = plain_fill(composite, observations, max_gap, between, -32768)
    # A value within a hair of a half may be rounded either way.
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.2
    np.testing.assert_array_equal(found[:, 0][~filled], expected[:, 0][~filled])
    np.testing.assert_array_equal(filled, marked)


def column(values, nodata=0, dtype=np.uint16):
    composite = np.array(values, dtype=dtype).reshape(-1, 1, 1, 1)
    return composite, (composite[:, 0] != nodata).astype(np.uint8)


def test_the_mean_of_two_decibels_is_nearer_to_the_louder():
    composite, observations = column([-2000, -32768, -1000], -32768, np.int16)
    found, _ = fill_gaps(composite, observations, 3, power=True)
    assert found.ravel().tolist() == [-2000, -1260, -1000]
    assert fill_gaps(composite, observations, 3)[0].ravel().tolist() == [-2000, -1500, -1000]


def test_unequal_periods_are_weighted_by_their_days():
    days = middle_days(
        [datetime.date(2021, 1, 1), datetime.date(2021, 2, 1), datetime.date(2021, 3, 1)], datetime.date(2021, 3, 31)
    )
    assert days.tolist() == [15.5, 45.0, 74.5]
    found, _ = fill_gaps(*column([100, 0, 0, 400]), 3, "linear", np.array([0.0, 10.0, 20.0, 60.0]))
    assert found.ravel().tolist() == [100, 150, 200, 400]


def test_a_linear_fill_takes_the_nearest_value_at_the_edges():
    found, filled = fill_gaps(*column([0, 0, 7, 0, 9, 0]), 2, "linear", np.arange(6.0))
    assert found.ravel().tolist() == [7, 7, 7, 8, 9, 9]
    assert filled.ravel().tolist() == [True, True, False, True, False, True]


def test_edges_in_decibels_keep_their_neighbours_value():
    found, _ = fill_gaps(*column([-32768, -2345, -32768], -32768, np.int16), 1, power=True)
    assert found.ravel().tolist() == [-2345] * 3


@pytest.mark.parametrize("width", [511, 512, 513, 1100])
def test_rows_longer_than_a_segment_are_filled_whole(width: int):
    rng = np.random.default_rng(width)
    composite = rng.integers(1, 65536, (5, 1, 2, width), dtype=np.uint16)
    observations = (rng.random((5, 2, width)) < 0.6).astype(np.uint8)
    observations[:, 1, : width // 2] = 1
    found, filled = fill_gaps(composite, observations, 2, "linear", np.arange(5.0))
    expected, marked = plain_fill(composite, observations, 2, on_the_line(np.arange(5.0)), 0)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(filled, marked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "spline"}, "rule is 'spline'; expected one of"),
        ({"rule": "linear"}, "days are None; expected 3 days in order of time"),
        ({"rule": "linear", "days": np.array([0.0, 2.0, 2.0])}, "expected 3 days in order of time"),
        ({"rule": "linear", "days": np.array([0.0, 2.0])}, "expected 3 days in order of time"),
        ({"power": True}, "composite is uint16; expected int16"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused(change: dict, message: str):
    composite, observations = column([1, 0, 2])
    with pytest.raises(ValueError, match=message):
        fill_gaps(composite, observations, 3, **change)
    with pytest.raises(ValueError, match="composite is float32; expected uint16 or int16"):
        fill_gaps(composite.astype(np.float32), observations, 3)
