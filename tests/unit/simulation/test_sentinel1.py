"""Backscatter, speckle and passes of the simulated radar."""

import datetime
import itertools

import numpy as np
import pytest

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.simulation.acquisitions import sentinel1_passes
from cropflow.simulation.backscatter import course
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.sentinel1 import Radar, speckle
from cropflow.simulation.surface import build_surface

SEASON = Season(start=datetime.date(2021, 10, 1), end=datetime.date(2022, 9, 30))
CALM = {"region_year": 0, "soil_moisture": 0, "orbits": 0, "speckle": 0}
SOUND = {"border_noise": 0, "overflow": 0}


@pytest.fixture(scope="module")
def simulation():
    square = Landscape(centre=(2.6, 49.2), side_km=0.4)
    return Simulation(seed=2, landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",))


@pytest.fixture(scope="module")
def land(simulation):
    return make_landscape("a", simulation.landscapes["a"], simulation)


def radar(land, **knobs):
    difficulty = Difficulty(**knobs)
    return Radar(2, land, build_surface(2, land, "s", SEASON, difficulty, with_patterns=False), difficulty)


def passes(land, start=datetime.date(2021, 10, 1), end=datetime.date(2022, 9, 30)):
    return sentinel1_passes(2, land.name, land.grid, ("s",), {"s": Season(start=start, end=end)})


def test_speckle_is_gamma_with_the_looks_of_the_product_and_correlated_neighbours():
    sample = speckle(np.random.default_rng(0), (700, 700))
    assert sample.mean() == pytest.approx(1.0, abs=0.01)
    assert sample.mean() ** 2 / sample.var() == pytest.approx(4.4, rel=0.05)
    decibel = 10 * np.log10(sample)
    assert decibel.std() == pytest.approx(2.2, abs=0.1)
    assert -0.6 < decibel.mean() < -0.4
    neighbour = np.corrcoef(sample[:, 1:].ravel(), sample[:, :-1].ravel())[0, 1]
    assert 0.2 < neighbour < 0.8
    assert abs(np.corrcoef(sample[:, 8:].ravel(), sample[:, :-8].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("crop", "day", "vv", "vh"),
    [("winter_wheat", 135.5, -16, -21), ("rapeseed", 166, -7.5, -12), ("sunflower", 196.5, -7, -16),
     ("sugar_beet", 135.5, -12.5, -22.5), ("potato", 166, -6.5, -13.5), ("maize", 135.5, -10.5, -19.5)],
)  # fmt: skip
def test_the_courses_meet_the_table_in_their_marked_months(crop, day, vv, vh):
    found = course(crop, np.array([day], np.float32))
    assert [float(value[0]) for value in found] == pytest.approx([vv, vh], abs=0.01)


def test_parcel_effects_have_the_spread_and_correlation_of_the_table(land):
    found = radar(land)
    count = len(found.surface.stands.crops)
    effect = np.concatenate(
        [radar_of_seed(land, seed)._parcel_effect(np.array([0.0, 30.0, 200.0], np.float32)) for seed in range(40)],
        axis=1,
    )
    assert effect.shape[1] >= count
    assert 0.9 < effect[0, :, 0].std() < 1.6
    assert 0.55 < np.corrcoef(effect[0, :, 0], effect[1, :, 0])[0, 1] < 0.85
    assert np.corrcoef(effect[0, :, 0], effect[0, :, 1])[0, 1] > 0.85


def radar_of_seed(land, seed):
    difficulty = Difficulty()
    return Radar(seed, land, build_surface(seed, land, "s", SEASON, difficulty, with_patterns=False), difficulty)


def test_repeat_cycle_grows_when_one_satellite_is_lost(land):
    ascending = [one.time.date() for one in passes(land) if one.direction == "ascending"]
    gaps = {
        late: [(b - a).days for a, b in itertools.pairwise(ascending) if (a.year > 2021) == late]
        for late in (False, True)
    }
    assert min(gaps[False]) == 6
    assert min(gaps[True]) == 12
    assert {one.direction for one in passes(land)} == {"ascending", "descending"}


def test_a_few_passes_are_missing():
    square = Landscape(centre=(2.6, 49.2), side_km=0.4)
    simulation = Simulation(landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",))
    grid = make_landscape("a", square, simulation).grid
    season = {"s": Season(start=datetime.date(2015, 1, 1), end=datetime.date(2021, 12, 1))}
    found = np.mean([len(sentinel1_passes(seed, "a", grid, ("s",), season)) for seed in range(3)])
    complete = 2 * (season["s"].end - season["s"].start).days / 6
    assert 0.02 < 1 - found / complete < 0.08


def test_off_knobs_leave_the_levels_of_the_table(land):
    calm = radar(land, parcel_variation=0, **CALM)
    chosen = passes(land)[20:21]
    level = calm.levels(chosen)
    days = calm.surface.days([chosen[0].time.date()])
    for row, crop in enumerate(calm.surface.stands.crops):
        assert level[0, row, 0] == pytest.approx(float(course(crop, days)[0][0]), abs=1e-4)


def test_a_scene_is_finite_decibel_on_the_10_m_grid_and_reproducible(land):
    chosen = passes(land)[:2]
    first, again = (list(radar(land, **SOUND).scenes(chosen)) for _ in range(2))
    for (one, scene), (_, other) in zip(first, again, strict=True):
        assert one.time.tzinfo is not None
        for name in ("vv", "vh"):
            assert scene[name].shape == land.grid.shape
            assert scene[name].dtype == np.float32
            assert np.isfinite(scene[name]).all()
            np.testing.assert_array_equal(scene[name], other[name])
        assert np.median(scene["vv"]) > np.median(scene["vh"]) + 3
    assert -16 < np.median(first[0][1]["vv"]) < -5


def test_speckle_off_keeps_the_other_draws(land):
    chosen = passes(land)[:1]
    (_, noisy), (_, smooth) = (next(radar(land, speckle=knob, **SOUND).scenes(chosen)) for knob in (1, 0))
    difference = noisy["vv"] - smooth["vv"]
    assert 1.8 < difference.std() < 2.6
    assert 0.2 < -difference.mean() < 0.8
