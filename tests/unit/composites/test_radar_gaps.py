from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites.radar import NODATA
from cropflow.composites.radar_gaps import difference, fill_power, month_middles

MIDDLES = np.array([15.5, 45.0, 74.5, 105.0, 135.5, 166.0])


def plain_fill(composite, observations, max_gap, rule):
    """The definition, pixel by pixel."""
    out, filled = composite.astype(int), np.zeros(observations.shape, bool)
    n = len(composite)
    for p, y, x in np.ndindex(observations.shape):
        seen = np.flatnonzero(observations[:, y, x])
        if p in seen:
            continue
        before, after = seen[seen < p][-1:].tolist(), seen[seen > p][:1].tolist()
        run = (after or [n])[0] - (before or [-1])[0] - 1
        if not seen.size or run > max_gap:
            continue
        ends = before + after
        powers = 10 ** (composite[ends, :, y, x] / 1000.0)
        weights = np.ones(len(ends))
        if rule == "linear" and len(ends) == 2:
            weights = np.abs(MIDDLES[ends[::-1]] - MIDDLES[p])
        out[p, :, y, x] = np.rint(1000 * np.log10(np.average(powers, axis=0, weights=weights)))
        filled[p, y, x] = True
    return out, filled


@settings(max_examples=80, deadline=None)
@given(
    arrays.arrays(np.int16, (6, 2, 2, 3), elements=st.integers(-3000, 0)),
    arrays.arrays(np.uint8, (6, 2, 3), elements=st.sampled_from([0, 0, 1, 4])),
    st.integers(0, 6),
    st.sampled_from(["neighbours", "linear"]),
)
def test_the_rules_are_their_definitions(composite, observations, max_gap, rule):
    composite = np.where(observations[:, np.newaxis] > 0, composite, NODATA).astype(np.int16)
    found, filled = fill_power(composite, observations, max_gap, rule, MIDDLES)
    expected, expected_filled = plain_fill(composite, observations, max_gap, rule)
    np.testing.assert_array_equal(filled, expected_filled)
    assert np.abs(found.astype(int) - expected).max() <= 1
    kept = (observations > 0)[:, np.newaxis].repeat(2, axis=1)
    np.testing.assert_array_equal(found[kept], composite[kept])


def test_a_gap_is_filled_in_linear_power():
    composite = np.array([-1000, NODATA, -2000], np.int16).reshape(3, 1, 1, 1)
    observations = np.array([1, 0, 1], np.uint8).reshape(3, 1, 1)
    found, filled = fill_power(composite, observations, 3, "neighbours", MIDDLES[:3])
    assert found.ravel().tolist() == [-1000, -1260, -2000]  # not -1500
    assert filled.ravel().tolist() == [False, True, False]


def test_no_rule_fills_nothing():
    composite = np.array([-1000, NODATA], np.int16).reshape(2, 1, 1, 1)
    found, filled = fill_power(composite, np.array([[[1]], [[0]]], np.uint8), 3, "none", MIDDLES[:2])
    assert found.ravel().tolist() == [-1000, NODATA]
    assert not filled.any()


def test_months_have_their_middles_across_new_year():
    months = [datetime.date(2020, 11, 1), datetime.date(2020, 12, 1), datetime.date(2021, 1, 1)]
    assert np.diff(month_middles(months)).tolist() == [30.5, 31.0]


@pytest.mark.parametrize(
    ("pair", "expected"), [((-1000, -1700), -700), ((-1000, NODATA), NODATA), ((NODATA, -5), NODATA)]
)
def test_the_difference_is_vh_minus_vv_where_both_are(pair, expected):
    found = difference(np.array(pair, np.int16).reshape(1, 2, 1, 1))
    assert found.shape == (1, 1, 1, 1)
    assert found.item() == expected
