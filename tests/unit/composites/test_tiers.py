from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites.tiers import tier


def plain_tier(valid, hazy, period, n_periods):
    """The definition, pixel by pixel."""
    counted, flagged = valid.copy(), np.zeros((n_periods, *valid.shape[1:]), bool)
    for p, y, x in np.ndindex(flagged.shape):
        here = [s for s in range(len(valid)) if period[s] == p and valid[s, y, x]]
        if any(not hazy[s, y, x] for s in here):
            for s in here:
                counted[s, y, x] = not hazy[s, y, x]
        else:
            flagged[p, y, x] = bool(here)
    return counted, flagged


@st.composite
def cases(draw):
    shape = (draw(st.integers(0, 8)), draw(st.integers(1, 2)), draw(st.integers(1, 6)))
    n_periods = draw(st.integers(1, 3))
    valid, hazy = draw(arrays.arrays(np.bool_, shape)), draw(arrays.arrays(np.bool_, shape))
    period = draw(arrays.arrays(np.int64, shape[:1], elements=st.integers(0, n_periods - 1)))
    return valid, hazy, period, n_periods


@settings(deadline=None, max_examples=200)
@given(cases())
def test_tiers_equal_their_definition(case):
    for found, expected in zip(tier(*case), plain_tier(*case), strict=True):
        assert found.dtype == np.bool_
        np.testing.assert_array_equal(found, expected)


def test_hazy_observations_count_only_in_periods_that_have_nothing_else():
    valid = np.ones((3, 1, 1), bool)
    hazy = np.array([True, False, True]).reshape(3, 1, 1)
    counted, flagged = tier(valid, hazy, np.array([0, 0, 1]), 3)
    assert counted.ravel().tolist() == [False, True, True]
    assert flagged.ravel().tolist() == [False, True, False]
    assert valid.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hazy": np.zeros((2, 1, 2), bool)}, "expected bool"),
        ({"valid": np.zeros((2, 1, 1), np.uint8)}, "valid is uint8"),
        ({"period": np.array([0])}, "period has the shape"),
        ({"period": np.array([0, 2])}, "periods run from 0 to 2; expected 0 to 1"),
    ],
)
def test_tiers_of_arrays_that_do_not_match_are_refused(change: dict, message: str):
    good = {"valid": np.zeros((2, 1, 1), bool), "hazy": np.zeros((2, 1, 1), bool), "period": np.array([0, 1])}
    with pytest.raises(ValueError, match=message):
        tier(**(good | change), n_periods=2)
