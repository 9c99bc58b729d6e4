"""Means in linear power, slices of a pass, and angles, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites.radar.kernels import NODATA, difference, first_valid, mean_power, normalise, power_table

VALUES = st.one_of(st.just(NODATA), st.integers(-5999, 3000))


def cubes(fewest=0):
    shape = st.tuples(st.integers(fewest, 6), st.just(2), st.integers(1, 3), st.integers(1, 4))
    return shape.flatmap(lambda shape: arrays.arrays(np.int16, shape, elements=VALUES))


def decibel(powers):
    return np.floor(1000 * np.log10(np.mean(powers)) + 0.5)


def plain_means(backscatter, period, n_periods):
    """The definition, pixel by pixel."""
    _, n_bands, height, width = backscatter.shape
    composite = np.full((n_periods, n_bands, height, width), NODATA)
    observations = np.zeros((n_periods, height, width), int)
    for p, y, x in np.ndindex(n_periods, height, width):
        here = [s for s in np.flatnonzero(period == p) if (backscatter[s, :, y, x] != NODATA).all()]
        observations[p, y, x] = len(here)
        for band in range(n_bands if here else 0):
            composite[p, band, y, x] = decibel([10 ** (float(backscatter[s, band, y, x]) / 1000) for s in here])
    return composite, observations


@settings(max_examples=60, deadline=None)
@given(cubes(), st.integers(1, 3), st.randoms())
def test_the_kernel_is_the_definition(backscatter, n_periods, random):
    period = np.array([random.randrange(n_periods) for _ in backscatter], dtype=np.int64)
    composite, observations = mean_power(backscatter, period, n_periods)
    expected, counted = plain_means(backscatter, period, n_periods)
    # A float32 table may turn the last hundredth where a mean lies on the edge.
    assert np.abs(composite.astype(int) - expected).max(initial=0) <= 1
    np.testing.assert_array_equal(composite == NODATA, expected == NODATA)
    np.testing.assert_array_equal(observations, counted)


def test_means_are_those_of_power_and_not_of_decibels():
    backscatter = np.array([[-1000, -2000], [-2000, -1000]], np.int16).reshape(2, 2, 1, 1)
    composite, observations = mean_power(backscatter, np.zeros(2, np.int64), 1)
    assert composite.ravel().tolist() == [-1260, -1260]  # not -1500
    assert observations.item() == 2


def test_one_observation_comes_out_as_it_is():
    backscatter = np.repeat(np.arange(-5999, 3001, dtype=np.int16)[np.newaxis, np.newaxis, np.newaxis], 2, axis=1)
    np.testing.assert_array_equal(mean_power(backscatter, np.zeros(1, np.int64), 1)[0], backscatter)


def test_counts_stop_at_255():
    backscatter = np.full((300, 2, 1, 1), -1500, np.int16)
    composite, observations = mean_power(backscatter, np.zeros(300, np.int64), 1)
    assert (composite.ravel().tolist(), observations.item()) == ([-1500, -1500], 255)


def test_arrays_that_do_not_fit_are_refused():
    backscatter = np.zeros((2, 2, 1, 1), np.int16)
    with pytest.raises(ValueError, match="expected int16"):
        mean_power(backscatter.astype(np.float32), np.zeros(2, np.int64), 1)
    with pytest.raises(ValueError, match="period has the shape"):
        mean_power(backscatter, np.zeros(3, np.int64), 1)
    with pytest.raises(ValueError, match="periods run from -1 to 0"):
        mean_power(backscatter, np.array([0, -1]), 1)


def test_the_table_gives_nothing_for_nodata_and_cannot_be_changed():
    table = power_table()
    assert table[0] == 0
    assert table[32768 - 1000] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="read-only"):
        table[5] = 1


@given(cubes(1), st.randoms())
def test_a_pass_takes_each_pixel_from_its_first_valid_slice(backscatter, random):
    passes = np.sort(np.array([random.randrange(3) for _ in backscatter]))
    passes = np.unique(passes, return_inverse=True)[1]
    merged = first_valid(backscatter, passes)
    assert len(merged) == passes.max() + 1
    for number, y, x in np.ndindex(len(merged), *backscatter.shape[2:]):
        slices = [backscatter[s, :, y, x] for s in np.flatnonzero(passes == number)]
        sound = [values for values in slices if (values != NODATA).all()]
        if sound:
            np.testing.assert_array_equal(merged[number, :, y, x], sound[0])
        else:
            assert (merged[number, :, y, x] == NODATA).any()


def test_passes_of_one_scene_are_not_copied():
    backscatter = np.zeros((3, 2, 1, 1), np.int16)
    assert first_valid(backscatter, np.arange(3)) is backscatter


def test_sigma0_of_a_lambertian_surface_is_the_same_from_all_angles():
    angles = np.array([[[29.0, 38.0, 46.0]]])
    power = 0.08 * np.cos(np.radians(angles)) ** 2 / np.cos(np.radians(38)) ** 2
    backscatter = np.rint(1000 * np.log10(power)).astype(np.int16)[:, np.newaxis].repeat(2, axis=1)
    found = normalise(backscatter, np.rint(100 * angles).astype(np.uint16), 38.0)
    np.testing.assert_allclose(found, round(1000 * np.log10(0.08)), atol=1)
    assert found.dtype == np.int16


def test_a_pixel_without_an_angle_or_a_value_has_no_normalised_one():
    backscatter = np.full((1, 2, 1, 3), -1000, np.int16)
    backscatter[0, :, 0, 1] = NODATA
    found = normalise(backscatter, np.array([[[0, 3800, 9000]]], np.uint16), 38.0)
    assert (found == NODATA).all()


@pytest.mark.parametrize(
    ("pair", "expected"), [((-1000, -1700), -700), ((-1000, NODATA), NODATA), ((NODATA, -5), NODATA)]
)
def test_the_difference_is_vh_minus_vv_where_both_are(pair, expected):
    found = difference(np.array(pair, np.int16).reshape(1, 2, 1, 1))
    assert found.shape == (1, 1, 1, 1)
    assert found.item() == expected
