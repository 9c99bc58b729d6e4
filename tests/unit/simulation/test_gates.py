"""The simulation against real samples: what holds of its gates, and how far. Figures: docs/simulation.md."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from cropflow.config.simulation import Difficulty
from cropflow.simulation import gates
from cropflow.simulation.backscatter import BACKSCATTER
from cropflow.simulation.plots import PixelSeason, lay_plots, see_pixels
from cropflow.simulation.references import FR23_PIXELS, FR23_SEASON, NDVI
from cropflow.simulation.weather import conditions

STRICT = (4, 5, 6)
# Months of the tables of NDVI and of backscatter, counted from October.
NDVI_MONTHS = (1, 4, 6, 7, 8, 9, 10, 11)
RADAR_MONTHS = (3, 6, 7, 8, 9, 10, 11)


@pytest.fixture(scope="module")
def france():
    return gates.sample_france(0, 24, 16)


@pytest.fixture(scope="module")
def samples(france):
    return gates.join(france)


@pytest.fixture(scope="module")
def even():
    return gates.sample_france(1, 10, 40, even=True)


@pytest.fixture(scope="module")
def benchmark_script():
    path = Path(__file__).parents[3] / "benchmarks" / "simulation_gates.py"
    spec = importlib.util.spec_from_file_location("simulation_gates", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_crop(seen, values, crop):
    return np.concatenate([values(one)[one.crops == crop] for one in seen])


@pytest.mark.parametrize("crop", [*FR23_PIXELS])
def test_pixels_of_a_crop_meet_the_tables_of_ndvi_and_vh(even, crop):
    ndvi = np.nanmedian(of_crop(even, gates.monthly_ndvi, crop), axis=0)
    found = ndvi[list(NDVI_MONTHS)]
    assert np.abs(found - np.array(NDVI[crop])).mean() < 0.10
    vh = np.median(of_crop(even, lambda one: gates.monthly_radar(one)[:, 1::2], crop), axis=0)[list(RADAR_MONTHS)]
    course = BACKSCATTER[crop]
    # dB: sd between pixels 1.8, between regions and dry or wet months about 1.
    assert np.abs(vh - (np.array(course.vh) + course.vh_db)).mean() < 0.8


def test_grass_varies_all_year_as_real_grass_does(france):
    spread = np.nanstd(of_crop(france, gates.monthly_ndvi, "permanent_grass"), axis=0)
    assert np.median(spread) > 0.10  # FR23: .10 to .19, pixel noise included
    assert spread.min() > 0.065
    assert spread.max() < 0.20


def test_gaps_come_as_often_and_last_as_long_as_real_ones(france):
    found = gates.find_gaps(france, STRICT)
    assert found.valued == pytest.approx(0.59, abs=0.07)
    assert found.after_gap == pytest.approx(0.47, abs=0.08)
    assert found.after_value == pytest.approx(0.36, abs=0.06)
    assert found.after_gap > found.after_value + 0.03
    assert 3 <= np.median(found.longest) <= 5
    assert np.percentile(found.longest, 95) <= 9
    winter, summer = found.empty_months[:7], found.empty_months[7:]
    assert winter.max() <= 0.40
    assert 0.08 < winter.mean() < 0.26  # FR23: .18
    assert summer.mean() < winter.mean() / 2


def test_gaps_are_counted_as_by_hand():
    classes = np.array([[4, 9, 9, 0, 5, 9, 7, 4], [9, 9, 9, 9, 9, 9, 9, 4]], np.uint8)
    dates, month = np.arange(8) * 10, np.array([0, 0, 0, 1, 1, 1, 2, 2])
    nothing = np.zeros((2, 8, 10), np.float32)
    seen = PixelSeason(
        np.array(["a", "b"], dtype=object), np.zeros(2, np.int64), dates, month, classes, nothing, month, nothing
    )
    found = gates.find_gaps([seen], (4, 5, 6, 7))
    # Steps 0 to 6, the eighth may be incomplete: V--- V-V and -------.
    assert found.valued == pytest.approx(3 / 14)
    assert found.after_gap == pytest.approx(8 / 10)
    assert found.after_value == pytest.approx(2 / 2)
    assert found.longest.tolist() == [3, 7]
    assert found.usable == pytest.approx(5 / 15)
    assert found.empty_months.tolist() == [0.5, 0.5, 0.0]


def test_single_pixels_are_about_as_hard_to_tell_as_real_ones(samples, benchmark_script):
    random, blocked = (
        benchmark_script.cross_validate(samples.both, samples.crop, groups) for groups in (None, samples.place)
    )
    # FR23: accuracy .75, macro F1 .67 at random; .69 and .45 blocked. Rare crops are harder here than there, and
    # unseen places easier (docs/simulation.md): those two figures are not asserted.
    assert random[0] == pytest.approx(0.75, abs=0.09)
    assert 0.38 < blocked[1] < 0.62
    assert blocked < random
    radar, optical = (
        benchmark_script.cross_validate(each, samples.crop, samples.place) for each in (samples.radar, samples.optical)
    )
    assert radar[0] + 0.03 < optical[0] < blocked[0] + 0.03
    assert radar[1] == pytest.approx(0.35, abs=0.12)


def test_a_longer_season_tells_more(samples, benchmark_script):
    february, may, july = (benchmark_script.early_season(samples, months) for months in (5, 8, 10))
    assert february + 0.05 < may < july + 0.03


def test_without_difficulties_every_pixel_is_told(benchmark_script):
    seen = gates.join(gates.sample_france(1, 6, 40, gates.OFF, even=True))
    assert benchmark_script.cross_validate(seen.both, seen.crop, None)[0] > 0.99
    assert benchmark_script.cross_validate(seen.both, seen.crop, seen.place)[0] > 0.99


def test_other_parcels_are_easier_than_other_regions_and_years(benchmark_script):
    found = benchmark_script.transfer(0)
    assert found["parcel"][0] > max(found[name][0] for name in ("block", "region", "year")) + 0.01


def test_years_share_weather_that_regions_do_not_have_alone():
    pairs = {"region": [], "year": []}
    for seed in range(40):
        drought = {
            (land, year): conditions(seed, land, year, 46.0, 1.0).drought for land in ("a", "b") for year in ("1", "2")
        }
        pairs["region"].append(abs(drought["a", "1"] - drought["b", "1"]))
        pairs["year"].append(abs(drought["a", "1"] - drought["a", "2"]))
    assert np.mean(pairs["region"]) < np.mean(pairs["year"])


def test_the_quantile_distance_of_a_shift_is_the_shift():
    values = np.random.default_rng(0).normal(size=(50, 4))
    assert gates.quantile_distance(values, values + 0.3) == pytest.approx(0.3)
    assert gates.quantile_distance(values, values) == 0
    with_gaps = np.where(np.arange(4) == 2, np.nan, values)
    assert gates.quantile_distance(with_gaps, values + 0.3) == pytest.approx(0.3)


def test_a_plot_is_seen_alone_and_twice_alike():
    land = lay_plots(3, "a", (1.0, 46.0), {"s": ["maize", "permanent_grass", "winter_wheat"]})
    first, again = (see_pixels(3, land, "s", FR23_SEASON, Difficulty()) for _ in range(2))
    assert first.crops.tolist() == ["maize", "permanent_grass", "winter_wheat"]
    np.testing.assert_array_equal(first.reflectance, again.reflectance)
    np.testing.assert_array_equal(first.sigma0, again.sigma0)
    usable = np.isin(first.classes, (4, 5, 6, 7))
    np.testing.assert_array_equal(np.isfinite(first.reflectance).all(axis=2), usable)


def test_a_real_square_is_nearest_to_the_same_crop_simulated(shared, benchmark_script):
    real = benchmark_script.read_flanders(shared / "data" / "flanders_2018")
    simulated = benchmark_script.simulate_flanders(6)
    crops = ("maize", "permanent_grass")
    for values, far in ((gates.monthly_ndvi, 0.17), (benchmark_script.monthly_vh, 1.4)):
        for crop in crops:
            own, other = (
                gates.quantile_distance(values(real)[real.crops == crop], of_crop(simulated, values, name))
                for name in (crop, crops[crop == crops[0]])
            )
            # One drought year of few parcels: it may lie at the edge of what the simulation makes, not beyond.
            assert own < far
            assert own < other
