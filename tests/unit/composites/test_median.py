from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites import fill_gaps, monthly_median, valid_observations
from cropflow.errors import CropflowError

# Few different values make ties; the extremes are what the kernel uses itself.
VALUES = st.sampled_from([0, 1, 2, 3, 4, 10000, 65534, 65535])


def plain_median(reflectance, valid, period, n_periods):
    """The definition, pixel by pixel."""
    n_scenes, n_bands, height, width = reflectance.shape
    composite = np.zeros((n_periods, n_bands, height, width), dtype=np.uint16)
    observations = np.zeros((n_periods, height, width), dtype=np.uint8)
    for p, y, x in np.ndindex(n_periods, height, width):
        here = [s for s in range(n_scenes) if period[s] == p and valid[s, y, x]]
        observations[p, y, x] = min(len(here), 255)
        for band in range(n_bands):
            values = sorted(int(reflectance[s, band, y, x]) for s in here)
            if values:
                middle = values[(len(values) - 1) // 2] + values[len(values) // 2]
                composite[p, band, y, x] = (middle + 1) // 2
    return composite, observations


def plain_fill(composite, observations, max_gap):
    """The definition, pixel by pixel."""
    out, filled = composite.copy(), np.zeros(observations.shape, dtype=bool)
    for p, y, x in np.ndindex(observations.shape):
        seen = [q for q in range(len(observations)) if observations[q, y, x] > 0]
        if p in seen:
            continue
        out[p, :, y, x] = 0
        before, after = [q for q in seen if q < p], [q for q in seen if q > p]
        run = (after[0] if after else len(observations)) - (before[-1] if before else -1) - 1
        if not seen or run > max_gap:
            continue
        ends = before[-1:] + after[:1]
        values = composite[ends, :, y, x].astype(int)
        out[p, :, y, x] = (values.sum(axis=0) + len(ends) - 1) // len(ends)
        filled[p, y, x] = True
    return out, filled


@st.composite
def cubes(draw):
    n_scenes, n_periods = draw(st.integers(0, 14)), draw(st.integers(1, 3))
    shape = (n_scenes, draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 5)))
    reflectance = draw(arrays.arrays(np.uint16, shape, elements=VALUES))
    valid = draw(arrays.arrays(np.bool_, (n_scenes, *shape[2:])))
    period = draw(arrays.arrays(np.int64, (n_scenes,), elements=st.integers(0, n_periods - 1)))
    return reflectance, valid, period, n_periods


@settings(deadline=None, max_examples=200)
@given(cubes())
def test_the_median_equals_its_definition(cube):
    composite, observations = monthly_median(*cube)
    expected, counts = plain_median(*cube)
    assert composite.dtype == np.uint16
    assert observations.dtype == np.uint8
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@pytest.mark.parametrize("width", [255, 256, 257, 600])
def test_rows_longer_than_a_segment_are_whole(width: int):
    rng = np.random.default_rng(width)
    reflectance = rng.integers(1, 65536, (9, 2, 2, width), dtype=np.uint16)
    valid = rng.random((9, 2, width)) < 0.5
    valid[:, :, width // 2 :] &= rng.random((9, 2, 1)) < 0.5
    period = rng.integers(0, 2, 9)
    expected, counts = plain_median(reflectance, valid, period, 2)
    composite, observations = monthly_median(reflectance, valid, period, 2)
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@pytest.mark.parametrize("n_scenes", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 64, 100])
def test_any_number_of_scenes_in_a_month_is_sorted(n_scenes: int):
    rng = np.random.default_rng(n_scenes)
    reflectance = rng.integers(0, 65536, (n_scenes, 1, 1, 40), dtype=np.uint16)
    valid = np.ones((n_scenes, 1, 40), dtype=bool)
    composite, _ = monthly_median(reflectance, valid, np.zeros(n_scenes, int), 1)
    expected = np.floor(np.median(reflectance.astype(float), axis=0) + 0.5)
    np.testing.assert_array_equal(composite[0], expected)


def test_halves_are_rounded_up():
    reflectance = np.array([3, 4], dtype=np.uint16).reshape(2, 1, 1, 1)
    composite, _ = monthly_median(reflectance, np.ones((2, 1, 1), bool), np.zeros(2, int), 1)
    assert composite[0, 0, 0, 0] == 4


def test_a_cloudy_observation_does_not_move_the_median():
    reflectance = np.array([100, 200, 300, 9999], dtype=np.uint16).reshape(4, 1, 1, 1)
    valid = np.array([True, True, True, False]).reshape(4, 1, 1)
    composite, observations = monthly_median(reflectance, valid, np.zeros(4, int), 1)
    assert composite[0, 0, 0, 0] == 200
    assert observations[0, 0, 0] == 3


def test_a_month_without_an_observation_in_the_middle_is_nodata():
    reflectance = np.full((3, 2, 1, 4), 500, dtype=np.uint16)
    valid = np.ones((3, 1, 4), dtype=bool)
    valid[1] = False
    composite, observations = monthly_median(reflectance, valid, np.array([0, 1, 2]), 3)
    assert (composite[1] == 0).all()
    assert (composite[[0, 2]] == 500).all()
    assert observations[:, 0, 0].tolist() == [1, 0, 1]


def test_counts_stop_at_255_and_the_median_does_not():
    reflectance = np.arange(1, 302, dtype=np.uint16).reshape(301, 1, 1, 1)
    composite, observations = monthly_median(reflectance, np.ones((301, 1, 1), bool), np.zeros(301, int), 1)
    assert observations[0, 0, 0] == 255
    assert composite[0, 0, 0, 0] == 151


def test_the_order_of_scenes_does_not_matter():
    rng = np.random.default_rng(1)
    reflectance = rng.integers(1, 9, (12, 2, 3, 4), dtype=np.uint16)
    valid, period = rng.random((12, 3, 4)) < 0.6, rng.integers(0, 4, 12)
    order = rng.permutation(12)
    one, other = (
        monthly_median(reflectance, valid, period, 4),
        monthly_median(reflectance[order], valid[order], period[order], 4),
    )
    np.testing.assert_array_equal(one[0], other[0])


def test_a_view_gives_what_its_copy_gives():
    rng = np.random.default_rng(2)
    reflectance = rng.integers(1, 99, (6, 2, 8, 8), dtype=np.uint16)
    valid = rng.random((6, 8, 8)) < 0.6
    window = np.s_[:, :, 1:7:2, 2:6]
    some = monthly_median(reflectance[window], valid[:, 1:7:2, 2:6], np.zeros(6, int), 1)[0]
    np.testing.assert_array_equal(some, monthly_median(reflectance, valid, np.zeros(6, int), 1)[0][window])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reflectance": np.zeros((2, 1, 1, 1), np.int16)}, "reflectance is int16"),
        ({"valid": np.zeros((3, 1, 1), bool)}, "expected bool"),
        ({"valid": np.zeros((2, 1, 1), np.uint8)}, "expected bool"),
        ({"period": np.array([0])}, "period has the shape"),
        ({"period": np.array([0, 2])}, "periods run from 0 to 2"),
        ({"period": np.array([-1, 0])}, "periods run from -1"),
    ],
)
def test_arrays_that_do_not_match_are_refused(change: dict, message: str):
    good = {
        "reflectance": np.zeros((2, 1, 1, 1), np.uint16),
        "valid": np.zeros((2, 1, 1), bool),
        "period": np.array([0, 1]),
        "n_periods": 2,
    }
    with pytest.raises(ValueError, match=message):
        monthly_median(**(good | change))


@st.composite
def series(draw):
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    observations = draw(arrays.arrays(np.uint8, (shape[0], *shape[2:]), elements=st.sampled_from([0, 0, 1, 255])))
    composite = draw(arrays.arrays(np.uint16, shape, elements=st.sampled_from([1, 2, 5, 65534, 65535])))
    return np.where(observations[:, None] > 0, composite, 0).astype(np.uint16), observations, draw(st.integers(0, 9))


@settings(deadline=None, max_examples=300)
@given(series())
def test_the_fill_equals_its_definition(case):
    composite, filled = fill_gaps(*case)
    expected, marked = plain_fill(*case)
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(filled, marked)


@settings(deadline=None)
@given(series())
def test_filled_is_true_exactly_where_a_value_was_written_without_an_observation(case):
    composite, filled = fill_gaps(*case)
    np.testing.assert_array_equal(filled, (case[1] == 0) & (composite > 0).all(axis=1))
    assert (composite[:, :][np.broadcast_to((case[1] > 0)[:, None], composite.shape)] == case[0][case[0] > 0]).all()


def column(values):
    composite = np.array(values, dtype=np.uint16).reshape(-1, 1, 1, 1)
    return composite, (composite[:, 0] > 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("values", "max_gap", "expected"),
    [
        ([3, 0, 4], 3, [3, 4, 4]),
        ([10, 0, 0, 20], 3, [10, 15, 15, 20]),
        ([0, 0, 7, 0], 3, [7, 7, 7, 7]),
        ([0, 0, 0, 7, 8], 3, [7, 7, 7, 7, 8]),
        ([0, 0, 0, 0, 7, 8], 3, [0, 0, 0, 0, 7, 8]),
        ([5, 0, 0, 0, 0, 7, 0, 9], 3, [5, 0, 0, 0, 0, 7, 8, 9]),
        ([7, 0, 0], 1, [7, 0, 0]),
        ([7, 0, 9], 0, [7, 0, 9]),
        ([0, 0], 9, [0, 0]),
    ],
)
def test_runs_up_to_the_limit_are_filled_edges_included(values: list[int], max_gap: int, expected: list[int]):
    composite, filled = fill_gaps(*column(values), max_gap)
    assert composite.ravel().tolist() == expected
    assert filled.ravel().tolist() == [new > 0 and old == 0 for old, new in zip(values, expected, strict=True)]


def test_the_composite_that_was_given_is_left_alone():
    composite, observations = column([3, 0, 4])
    fill_gaps(composite, observations, 3)
    assert composite.ravel().tolist() == [3, 0, 4]


def test_gaps_of_other_pixels_or_a_negative_limit_are_refused():
    with pytest.raises(ValueError, match="same pixels"):
        fill_gaps(np.zeros((2, 1, 1, 1), np.uint16), np.zeros((2, 1, 2), np.uint8), 3)
    with pytest.raises(ValueError, match="max_gap is -1"):
        fill_gaps(*column([1]), -1)


def test_an_observation_is_valid_where_its_class_is_clear_and_every_band_has_a_value():
    reflectance = np.array([[[[5, 0, 5, 5]], [[5, 5, 5, 5]]]], dtype=np.uint16)
    scl = np.array([[[4, 4, 8, 0]]], dtype=np.uint8)
    assert valid_observations(reflectance, scl, (4, 5)).tolist() == [[[True, False, False, False]]]


def test_scene_classes_of_another_grid_are_refused():
    with pytest.raises(ValueError, match="same pixels"):
        valid_observations(np.zeros((1, 1, 2, 2), np.uint16), np.zeros((1, 1, 2), np.uint8), (4,))


def test_a_scene_class_above_11_is_refused():
    from cropflow.composites.masking import check_scl

    with pytest.raises(CropflowError, match="Scene classes of site a reach 12; expected 0 to 11"):
        check_scl(np.array([4, 12], dtype=np.uint8), "site a")
