from __future__ import annotations

import datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cropflow.composites.overpasses import first_of_day

FIRST, SECOND = datetime.date(2020, 5, 1), datetime.date(2020, 5, 6)


def test_ground_that_two_tiles_of_one_day_show_counts_once():
    valid = np.array([[[True, False]], [[True, True]], [[True, True]]])
    assert first_of_day(valid, [FIRST, FIRST, SECOND]) == 1
    assert valid[:, 0].tolist() == [[True, False], [False, True], [True, True]]


@given(arrays(np.bool_, (5, 2, 3)), st.lists(st.sampled_from([FIRST, SECOND]), min_size=5, max_size=5))
def test_every_seen_pixel_is_left_once_a_day_by_its_first_scene(valid, days):
    left = valid.copy()
    taken_off = first_of_day(left, days)
    assert taken_off == int(valid.sum() - left.sum())
    for one in (FIRST, SECOND):
        of_day = [index for index, found in enumerate(days) if found == one]
        seen, first = valid[of_day], left[of_day]
        assert np.array_equal(first.sum(axis=0), seen.any(axis=0))
        for index in np.argwhere(seen.any(axis=0)):
            column = (slice(None), *index)
            assert first[column].argmax() == seen[column].argmax()
