from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites import darken_pairs, max_ndvi, medoid, monthly_mean, monthly_median
from cropflow.composites.reducers import check_bands, reduce_scenes
from cropflow.config.imagery import Series
from cropflow.errors import CropflowError

# Few different values make ties; the extremes are where sums and products are largest.
VALUES = st.sampled_from([1, 2, 3, 4, 100, 10000, 65534, 65535])


def here(valid, period, p, y, x):
    return [s for s in range(len(period)) if period[s] == p and valid[s, y, x]]


def plain(choose, reflectance, valid, period, n_periods):
    """A composite pixel by pixel: ``choose`` turns the observations (n, band), in order, into one."""
    shape = (n_periods, *reflectance.shape[1:])
    composite, observations = np.zeros(shape, np.uint16), np.zeros((n_periods, *shape[2:]), np.uint8)
    for p, y, x in np.ndindex(observations.shape):
        scenes = here(valid, period, p, y, x)
        observations[p, y, x] = len(scenes)
        if scenes:
            composite[p, :, y, x] = choose([[int(value) for value in reflectance[s, :, y, x]] for s in scenes])
    return composite, observations


def plain_mean(seen):
    return [(2 * sum(band) + len(seen)) // (2 * len(seen)) for band in zip(*seen, strict=True)]


def plain_medoid(seen):
    def distance(a, b):
        return math.floor(math.sqrt(sum((v - w) ** 2 for v, w in zip(a, b, strict=True))) * 256 + 0.5)

    return min(seen, key=lambda one: sum(distance(one, other) for other in seen))


def plain_greenest(seen):
    from fractions import Fraction

    return max(seen, key=lambda one: Fraction(one[1] - one[0], one[1] + one[0]))


def plain_pairs(seen):
    if len(seen) == 2:
        return min(seen, key=lambda one: one[0])
    return [
        (values[(len(seen) - 1) // 2] + values[len(seen) // 2] + 1) // 2
        for values in (sorted(band) for band in zip(*seen, strict=True))
    ]


def darker(reflectance, valid, period, n_periods):
    composite, observations = monthly_median(reflectance, valid, period, n_periods)
    darken_pairs(composite, observations, reflectance, valid, period, 0)
    return composite, observations


REDUCERS = {
    "mean": (monthly_mean, plain_mean),
    "medoid": (medoid, plain_medoid),
    "max_ndvi": (lambda *cube: max_ndvi(*cube, 0, 1), plain_greenest),
    "darker": (darker, plain_pairs),
}


@st.composite
def cubes(draw):
    n_scenes, n_periods = draw(st.integers(0, 9)), draw(st.integers(1, 3))
    shape = (n_scenes, draw(st.integers(2, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 4)))
    reflectance = draw(arrays.arrays(np.uint16, shape, elements=VALUES))
    valid = draw(arrays.arrays(np.bool_, (n_scenes, *shape[2:])))
    period = draw(arrays.arrays(np.int64, (n_scenes,), elements=st.integers(0, n_periods - 1)))
    return reflectance, valid, period, n_periods


@pytest.mark.parametrize("name", REDUCERS)
@settings(deadline=None, max_examples=150)
@given(cubes())
def test_a_reducer_equals_its_definition(name: str, cube):
    reduce, choose = REDUCERS[name]
    composite, observations = reduce(*cube)
    expected, counts = plain(choose, *cube)
    assert composite.dtype == np.uint16
    assert observations.dtype == np.uint8
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@pytest.mark.parametrize("name", REDUCERS)
@pytest.mark.parametrize("n_scenes", [1, 2, 40])
def test_a_month_of_one_two_or_forty_scenes_longer_than_a_segment(name: str, n_scenes: int):
    rng = np.random.default_rng(n_scenes)
    reflectance = rng.integers(1, 9, (n_scenes, 3, 1, 1100), dtype=np.uint16)
    valid = rng.random((n_scenes, 1, 1100)) < 0.7
    valid[:, :, 300:600] = False
    cube = reflectance, valid, np.ones(n_scenes, np.int64), 3
    for found, expected in zip(REDUCERS[name][0](*cube), plain(REDUCERS[name][1], *cube), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", REDUCERS)
def test_a_view_gives_what_its_copy_gives(name: str):
    rng = np.random.default_rng(5)
    reflectance = rng.integers(1, 99, (6, 2, 8, 8), dtype=np.uint16)
    valid = rng.random((6, 8, 8)) < 0.6
    period = np.array([0, 1, 0, 1, 0, 0])
    whole = REDUCERS[name][0](reflectance, valid, period, 2)[0]
    part = REDUCERS[name][0](reflectance[:, :, 1:7:2, 2:6], valid[:, 1:7:2, 2:6], period, 2)[0]
    np.testing.assert_array_equal(part, whole[:, :, 1:7:2, 2:6])


@pytest.mark.parametrize("name", REDUCERS)
def test_a_reducer_refuses_arrays_that_do_not_match(name: str):
    reflectance, valid = np.ones((2, 2, 1, 1), np.uint16), np.ones((2, 1, 1), bool)
    for wrong in ((reflectance.astype(int), valid), (reflectance, valid[:1]), (reflectance, valid.astype(int))):
        with pytest.raises(ValueError, match="expected"):
            REDUCERS[name][0](*wrong, np.zeros(2, np.int64), 1)
    with pytest.raises(ValueError, match="periods run from"):
        REDUCERS[name][0](reflectance, valid, np.array([0, 1]), 1)


def pixel(*observations: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    reflectance = np.array(observations, dtype=np.uint16)[:, :, None, None]
    return reflectance, np.ones((len(observations), 1, 1), bool), np.zeros(len(observations), np.int64), 1


def test_a_mean_has_its_halves_rounded_up():
    assert monthly_mean(*pixel([3], [4]))[0].item() == 4
    assert monthly_mean(*pixel([1], [1], [2]))[0].item() == 1


def test_a_medoid_is_one_of_its_observations_and_not_the_outlier():
    assert medoid(*pixel([10, 90], [50, 50], [90, 10], [9000, 9000]))[0].ravel().tolist() == [50, 50]


def test_of_two_observations_the_medoid_is_the_earlier():
    assert medoid(*pixel([7, 8], [1, 2]))[0].ravel().tolist() == [7, 8]


def test_of_a_pair_the_one_with_the_lower_blue_is_taken_in_all_bands():
    assert darker(*pixel([500, 100], [400, 900]))[0].ravel().tolist() == [400, 900]
    assert darker(*pixel([500, 100], [400, 900], [450, 100]))[0].ravel().tolist() == [450, 100]


def test_pairs_of_a_composite_that_is_a_view_are_refused_not_lost():
    reflectance, valid = np.ones((2, 1, 2, 2), np.uint16), np.ones((2, 2, 2), bool)
    view = np.zeros((1, 1, 2, 4), np.uint16)[..., :2]
    with pytest.raises(ValueError, match="copy"):
        darken_pairs(view, np.full((1, 2, 2), 2, np.uint8), reflectance, valid, np.zeros(2, np.int64), 0)


BANDS = ("B02", "B04", "B08")


@pytest.mark.parametrize(
    ("series", "function"),
    [
        ({}, monthly_median),
        ({"pair": "darker"}, darker),
        ({"statistic": "mean"}, monthly_mean),
        ({"statistic": "medoid"}, medoid),
        ({"statistic": "max_ndvi"}, lambda *cube: max_ndvi(*cube, 1, 2)),
    ],
)
def test_a_series_gets_the_statistic_that_it_asks_for(series: dict, function):
    rng = np.random.default_rng(3)
    reflectance = rng.integers(0, 40, (9, 3, 6, 7), dtype=np.uint16)
    valid = rng.random((9, 6, 7)) < 0.4
    period = rng.integers(0, 3, 9)
    found = reduce_scenes(reflectance, valid, period, 3, Series(**series), BANDS)
    expected = function(reflectance, valid, period, 3)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (
            {"statistic": "max_ndvi"},
            r"series\.<name>\.statistic max_ndvi needs B04, B08; site a has B02, B04\. Add B08 to imagery",
        ),
        ({"pair": "darker"}, None),
        ({}, None),
    ],
)
def test_a_statistic_names_the_band_that_it_misses(series: dict, message: str | None):
    if message is None:
        check_bands(Series(**series), ("B02", "B04"), "site a")
        return
    with pytest.raises(CropflowError, match=message):
        check_bands(Series(**series), ("B02", "B04"), "site a")


def test_the_darker_of_a_pair_needs_the_blue():
    with pytest.raises(CropflowError, match=r"pair darker needs B02; site a has B03"):
        check_bands(Series(pair="darker"), ("B03",), "site a")
