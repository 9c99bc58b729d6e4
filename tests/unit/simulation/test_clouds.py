"""Weather, clouds, shadows, haze and the scene classification."""

import datetime

import numpy as np
import pytest

from cropflow.config.simulation import Difficulty
from cropflow.simulation import scene_classes as scl
from cropflow.simulation.clouds import (
    Sky,
    cloud_fraction,
    cloudless_share,
    draw_sky,
    halve,
    weather_ranks,
)

SIZE = (64, 64)
SUN = (45.0, 150.0)


def days(count, step=5):
    start = datetime.datetime(2021, 1, 3, 10, 54, tzinfo=datetime.UTC)
    return [start + datetime.timedelta(days=step * index) for index in range(count)]


def sky_of(time, rank, difficulty=None, seed=1, shape=SIZE):
    return draw_sky(seed, "a", time, rank, 0.55, SUN, shape, 10.0, difficulty or Difficulty())


def test_the_mean_cloud_fraction_is_the_expected_share():
    for cloudy in (0.1, 0.45, 0.8):
        fractions = [cloud_fraction(rank, cloudy) for rank in (np.arange(2000) + 0.5) / 2000]
        assert np.mean(fractions) == pytest.approx(cloudy, abs=0.01)


def test_most_dates_over_a_small_square_are_overcast_or_clear_as_a_whole():
    times = days(600)
    ranks = weather_ranks(5, "a", [time.date() for time in times])
    clear = []
    for time, rank in zip(times, ranks, strict=True):
        share = cloudless_share(time.date(), 51.0)
        cloud = draw_sky(5, "a", time, rank, share, SUN, SIZE, 10.0, Difficulty(haze=0)).cloud
        clear.append(float((cloud < 0.1).mean()))
    clear = np.array(clear)
    # Measured: 38 % below 5 % clear, 44 % above 95 % clear; cirrus and errors of the classification not yet in it.
    assert 0.28 < (clear < 0.05).mean() < 0.48
    assert 0.36 < (clear > 0.95).mean() < 0.56
    assert 0.44 < clear.mean() < 0.64


def test_weather_has_a_memory_of_days():
    ranks = weather_ranks(3, "a", [time.date() for time in days(4000, step=1)])
    assert np.corrcoef(ranks[1:], ranks[:-1])[0, 1] > 0.5
    far = np.corrcoef(ranks[15:], ranks[:-15])[0, 1]
    assert -0.1 < far < 0.35
    assert 0.45 < ranks.mean() < 0.55


def test_the_south_is_sunnier_and_winter_is_cloudier():
    january, july = datetime.date(2022, 1, 15), datetime.date(2022, 7, 15)
    assert cloudless_share(july, 43.0) > cloudless_share(july, 53.0)
    assert cloudless_share(july, 48.0) > cloudless_share(january, 48.0) + 0.2
    assert cloudless_share(january, -30.0) > cloudless_share(july, -30.0)


def test_a_shadow_is_its_cloud_moved_away_from_the_sun():
    time = days(1)[0]
    for seed in range(40):
        sky = draw_sky(seed, "a", time, 0.55, 0.5, (40.0, 180.0), (256, 256), 20.0, Difficulty(haze=0))
        cloud, shadow = sky.cloud > 0.5, sky.shadow > 0.5
        if 0.1 < cloud.mean() < 0.6 and 0.1 < shadow.mean() < 0.6:
            break
    # The sun stands in the south: shadows lie north of clouds, at smaller rows, between 0.6 and 3.6 km away.
    overlap = [np.mean(shadow[: 256 - rows] == cloud[rows:]) for rows in range(0, 181, 2)]
    best = 2 * int(np.argmax(overlap))
    assert max(overlap) > 0.98
    assert 500 / np.tan(np.radians(40)) - 60 <= best * 20 <= 3000 / np.tan(np.radians(40)) + 60


def test_the_cloud_knob_clears_the_sky_and_keeps_the_haze():
    hazy = 0
    for time in days(20):
        with_clouds, without = sky_of(time, 0.9), sky_of(time, 0.9, Difficulty(clouds=0))
        assert not without.cloud.any()
        assert not without.shadow.any()
        assert not without.cirrus.any()
        np.testing.assert_array_equal(with_clouds.veil, without.veil)
        hazy += without.veil.any()
        assert not sky_of(time, 0.9, Difficulty(haze=0)).veil.any()
    assert hazy > 3


def test_halving_takes_the_mean_and_repeats_the_edge():
    values = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_allclose(halve(values, (2, 2), (0, 0)), [[2.0, 3.5], [6.5, 8.0]])
    np.testing.assert_allclose(halve(values, (2, 2), (-1, -1)), [[0.0, 1.5], [4.5, 6.0]])


def layers(cloud=0.0, cirrus=0.0, shadow=0.0, veil=0.0):
    return Sky(*(np.full((40, 40), value, np.float32) for value in (cloud, cirrus, shadow, veil)), 1.0)


def classes(sky, errors=1.0, red=0.03, near=0.35, seed=0):
    ground = np.stack([np.full((40, 40), value, np.float32) for value in (red, near)])
    return scl.classify(np.random.default_rng(seed), sky, ground, np.zeros((40, 40), np.float32), 20.0, errors)


def test_without_errors_the_classification_is_right():
    assert (classes(layers(), 0.0) == scl.VEGETATION).all()
    assert (classes(layers(), 0.0, red=0.15, near=0.22) == scl.BARE).all()
    assert (classes(layers(cloud=1.0), 0.0) == scl.CLOUD_HIGH).mean() > 0.7
    assert np.isin(classes(layers(cloud=0.05), 0.0), (scl.CLOUD_MEDIUM, scl.CLOUD_HIGH)).all()
    assert (classes(layers(shadow=0.9), 0.0) == scl.SHADOW).all()
    assert (classes(layers(cirrus=0.1), 0.0) == scl.CIRRUS).all()


def test_with_errors_it_misses_thin_edges_and_shadows_and_invents_clouds():
    missed, unseen, invented, doubted = [], [], [], []
    for seed in range(12):
        missed.append(np.isin(classes(layers(cloud=0.10), seed=seed), (4, 5, 6, 7)).mean())
        unseen.append(np.isin(classes(layers(shadow=0.8), seed=seed), (4, 5, 6, 7)).mean())
        invented.append((classes(layers(), red=0.2, near=0.26, seed=seed) == scl.CLOUD_MEDIUM).mean())
        doubted.append((classes(layers(veil=0.12), seed=seed) == scl.UNCLASSIFIED).mean())
    assert 0.2 < np.mean(missed) < 0.8
    assert 0.2 < np.mean(unseen) < 0.8
    assert 0.005 < np.mean(invented) < 0.09
    assert np.mean(doubted) > 0.7


def test_cloud_percent_counts_classes_8_to_10_among_valid_pixels():
    raster = np.array([[0, 8, 9], [10, 4, 3]], np.uint8)
    found = scl.percentages(raster)
    assert found["eo:cloud_cover"] == pytest.approx(60.0)
    assert found["s2:nodata_pixel_percentage"] == pytest.approx(100 / 6, abs=1e-3)
