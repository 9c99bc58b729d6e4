"""Rendering of Sentinel-2 scenes: resampling, knobs, offsets, swath, passes."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.regions.grid import Grid
from cropflow.simulation.acquisitions import Product, sentinel2_acquisitions, sun, tile_name
from cropflow.simulation.archive import season_acquisitions
from cropflow.simulation.crops import CROPS
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.noise import SmoothField, generator
from cropflow.simulation.phenology import canopies, covers, draw_traits, pale_flowers
from cropflow.simulation.resampling import resampler
from cropflow.simulation.sentinel2 import Optics, grid_20m, offset_20m
from cropflow.simulation.spectra import mix, soils
from cropflow.simulation.surface import build_surface

YEAR = Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 9, 30))
OFF = {
    name: 0.0
    for name in (
        "parcel_variation", "pixel_variation", "region_year", "catch_crops", "clouds", "scl_errors", "haze", "orbits",
        "registration", "blur", "noise", "soil_moisture",
    )
}  # fmt: skip


def simulate(**knobs):
    square = Landscape(centre=(2.6, 49.2), side_km=0.4)
    return Simulation(
        seed=4, landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",), difficulty=Difficulty(**knobs)
    )


@pytest.fixture(scope="module")
def land():
    simulation = simulate()
    return make_landscape("a", simulation.landscapes["a"], simulation)


def scenes(land, chosen, **knobs):
    simulation = simulate(**knobs)
    surface = build_surface(4, land, "s", YEAR, simulation.difficulty)
    acquisitions, ranks = season_acquisitions(land, "s", simulation, {"s": YEAR})
    optics = Optics(4, land, surface, simulation.difficulty)
    return list(optics.scenes([acquisitions[index] for index in chosen], ranks[chosen]))


def reference_resampling(fine, shape, factor, offset):
    rows = np.clip(offset[0] + np.arange(shape[0] * factor), 0, fine.shape[0] - 1)
    columns = np.clip(offset[1] + np.arange(shape[1] * factor), 0, fine.shape[1] - 1)
    return fine[np.ix_(rows, columns)].reshape(shape[0], factor, shape[1], factor).mean(axis=(1, 3))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 4), st.integers(-3, 0), st.floats(0, 2), st.floats(-1, 1))
def test_resampling_without_blur_is_the_plain_mean_and_with_blur_keeps_constants(seed, factor, start, fwhm, shift):
    fine = np.random.default_rng(seed).random((24, 24), np.float32)
    shape = (24 // factor, 24 // factor)
    plain = resampler((24, 24), shape, factor, (start, start))(fine)
    np.testing.assert_allclose(plain, reference_resampling(fine, shape, factor, (start, start)), atol=1e-5)
    blurred = resampler((24, 24), shape, factor, (start, start), fwhm, (shift, -shift))
    np.testing.assert_allclose(blurred(np.full_like(fine, 0.3)), 0.3, atol=1e-5)


def test_blur_equals_a_gaussian_filter_before_the_mean():
    from scipy.ndimage import gaussian_filter

    fine = np.zeros((80, 80), np.float32)
    fine[40:, 30:] = 1
    sigma = 1.35 * 2 / 2.3548
    # The filter samples the Gaussian at pixel centres, the resampler integrates it: an edge differs by a hundredth.
    expected = gaussian_filter(fine, sigma, truncate=6).reshape(40, 2, 40, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(resampler((80, 80), (40, 40), 2, fwhm_pixels=1.35)(fine), expected, atol=0.025)


def test_a_shift_of_one_pixel_moves_the_scene_by_one_pixel():
    fine = np.random.default_rng(1).random((40, 40), np.float32)
    still = resampler((40, 40), (20, 20), 2)(fine)
    moved = resampler((40, 40), (20, 20), 2, shift_pixels=(1.0, -1.0))(fine)
    np.testing.assert_allclose(moved[:-1, 1:], still[1:, :-1], atol=1e-5)


def test_smooth_fields_have_unit_variance_and_know_their_place():
    fields = [SmoothField.draw(generator(seed, "x"), 400, (50.0, 20.0), reach_m=100) for seed in range(60)]
    grid = np.arange(0, 400, 10.0)
    values = np.stack([field.at(grid, grid) for field in fields])
    assert values.std() == pytest.approx(1.0, abs=0.06)
    np.testing.assert_allclose(fields[0].at(grid + 50, grid)[:-5], fields[0].at(grid, grid)[5:], atol=1e-5)


def test_a_year_has_at_least_70_dates_two_orbits_two_baselines_and_duplicates(land):
    found = sentinel2_acquisitions(4, "a", land.grid, ("s",), {"s": YEAR})
    assert len(found) >= 70
    assert [one.time for one in found] == sorted(one.time for one in found)
    assert {one.orbit for one in found} == {0, 1}
    assert len({one.relative_orbit for one in found}) == 2
    assert {one.platform for one in found} == {"sentinel-2a", "sentinel-2b"}
    baselines = {product.baseline for one in found for product in one.products}
    assert min(baselines) < "04.00" <= max(baselines)
    twice = [one for one in found if len(one.products) == 2]
    assert 1 <= len(twice) <= 5
    assert all(one.products[0].baseline < one.products[1].baseline for one in twice)
    assert all(one.time.hour == 10 and 48 <= one.time.minute <= 59 for one in found)


def test_the_offset_follows_the_baseline_never_the_date():
    assert Product("03.01", 0).offset == 0
    assert Product("04.00", 0).offset == Product("05.09", 0).offset == 1000


def test_the_sun_stands_in_the_south_in_the_morning_and_higher_in_june():
    summer = sun(datetime.datetime(2023, 6, 21, 10, 54, tzinfo=datetime.UTC), 2.0, 48.0)
    winter = sun(datetime.datetime(2023, 12, 21, 10, 54, tzinfo=datetime.UTC), 2.0, 48.0)
    assert 58 < summer[0] < 64
    assert 15 < winter[0] < 20
    assert 120 < summer[1] < 165 < winter[1] < 175


def test_tiles_are_named_like_mgrs_and_never_shared():
    toulouse = Grid(32631, 370000, 4830000, 10, 10, 10)
    assert tile_name(toulouse) == "31TCJ"
    assert tile_name(toulouse, ["31TCJ"]) != "31TCJ"
    assert tile_name(Grid(32736, 400000, 7200000, 10, 10, 10)).startswith("36J")


def test_20_m_grids_are_multiples_of_20_m():
    odd = Grid(32631, 470010, 5450250, 13, 13, 10)
    coarse = grid_20m(odd)
    assert coarse.xmin % 20 == 0
    assert coarse.ymax % 20 == 0
    assert offset_20m(odd) == (-1, -1)
    assert coarse.bounds[0] <= odd.bounds[0]
    assert coarse.bounds[2] >= odd.bounds[2]


def test_with_everything_off_a_field_of_one_crop_and_soil_has_one_colour(land):
    scene = scenes(land, [3], **OFF)[0]
    raster = land.seasons["s"].raster
    whole = np.zeros(land.grid.shape, np.int64)
    quads = [raster[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    soil = [land.soil[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    same = np.all([quad == quads[0] for quad in quads], axis=0) & np.all([one == soil[0] for one in soil], axis=0)
    same &= ~np.any([land.seasons["s"].second[row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=0)
    whole[same] = (quads[0].astype(np.int64) * 4 + soil[0])[same]
    for key in np.unique(whole[(quads[0] > 0) & same]):
        assert np.ptp(scene.reflectance["B08"][whole == key]) < 1e-5
    assert not np.isin(scene.classes, (3, 8, 9, 10, 11)).any()


def test_with_everything_off_crops_are_told_apart_by_their_series(land):
    surface = build_surface(4, land, "s", YEAR, Difficulty(**OFF), with_patterns=False)
    dates = [YEAR.start + datetime.timedelta(days=day) for day in range(5, 365, 10)]
    crops = list(CROPS)
    traits = draw_traits(np.random.default_rng(0), len(crops), 0.0, 0.0)
    cover = covers(crops, surface.days(dates), traits, surface.conditions)
    series = np.stack(
        [
            mix(cover.green[:, i], cover.straw[:, i], cover.flower[:, i], soils(0.5), canopies(crops, traits),
                pale_flowers(crops))
            for i in range(len(dates))
        ]
    )  # fmt: skip
    # Nearest crop over all soils: every crop and soil finds itself, and no other crop comes close.
    flat = series.transpose(1, 2, 0, 3).reshape(len(crops), 4, -1)
    for crop in range(len(crops)):
        for other in range(crop):
            away = np.abs(flat[crop][:, None] - flat[other][None]).max(axis=2)
            assert away.min() > 0.012, (crops[crop], crops[other])


@pytest.mark.parametrize("knob", ["noise", "clouds", "haze", "registration", "orbits", "scl_errors", "pixel_variation"])
def test_a_knob_changes_its_own_source_only(land, knob):
    quiet = {name: value for name, value in OFF.items() if name != knob}
    with_knob, without = scenes(land, [0, 1, 2, 3], **quiet), scenes(land, [0, 1, 2, 3], **OFF)
    changed = [
        not np.array_equal(a.reflectance["B08"], b.reflectance["B08"]) or not np.array_equal(a.classes, b.classes)
        for a, b in zip(with_knob, without, strict=True)
    ]
    assert any(changed)
    if knob == "scl_errors":
        for a, b in zip(with_knob, without, strict=True):
            np.testing.assert_array_equal(a.reflectance["B08"], b.reflectance["B08"])


def test_other_sources_keep_their_draws_when_one_is_switched_off(land):
    noisy, plain = scenes(land, [1], **{**OFF, "noise": 1.0}), scenes(land, [1], **OFF)
    hazy = scenes(land, [1], **{**OFF, "noise": 1.0, "orbits": 1.0})
    first = noisy[0].reflectance["B08"] - plain[0].reflectance["B08"]
    second = hazy[0].reflectance["B08"] - scenes(land, [1], **{**OFF, "orbits": 1.0})[0].reflectance["B08"]
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.99


def test_stored_numbers_carry_the_offset_and_negatives_stay_valid(land):
    chosen = list(range(0, 24))
    shares, seen_edge = [], False
    for scene in scenes(land, chosen):
        old, new = (scene.stored("B02", Product(name, 0)) for name in ("03.01", "05.09"))
        assert old.dtype == np.uint16
        assert ((old == 0) == ~scene.valid).all()
        assert ((new == 0) == ~scene.valid).all()
        bright = scene.valid & (scene.reflectance["B02"] > 0.001)
        np.testing.assert_array_equal(new[bright].astype(int) - old[bright], 1000)
        dark = scene.valid & (scene.reflectance["B02"] < 0.03)
        if dark.sum() > 500:
            shares.append((new[dark] <= 1000).mean())
        seen_edge |= 0.1 < 1 - scene.valid.mean() < 0.6
    assert 0.003 < np.mean(shares) < 0.03
    assert seen_edge


def test_orbits_differ_most_in_the_near_infrared(land):
    simulation = simulate()
    acquisitions, _ = season_acquisitions(land, "s", simulation, {"s": YEAR})
    optics = Optics(4, land, build_surface(4, land, "s", YEAR, Difficulty(), with_patterns=False), Difficulty())
    factors = {orbit: [] for orbit in (0, 1)}
    for acquisition in acquisitions:
        factors[acquisition.orbit].append(optics.effects(acquisition)[0])
    first, second = (np.mean(factors[orbit], axis=0) for orbit in (0, 1))
    assert 0.04 < abs(first[6] - second[6]) < 0.11
    assert abs(first[2] - second[2]) < abs(first[6] - second[6])
