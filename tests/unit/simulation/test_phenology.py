"""Calendars, covers and the NDVI they give, against the monthly medians of real parcels."""

import datetime

import numpy as np
import pytest

from cropflow.config.sections import Season
from cropflow.errors import CropflowError
from cropflow.simulation.backscatter import BACKSCATTER
from cropflow.simulation.crops import CROPS
from cropflow.simulation.phenology import PHENOLOGY, canopies, covers, draw_traits, pale_flowers
from cropflow.simulation.references import NDVI, NDVI_DAYS
from cropflow.simulation.spectra import mix, ndvi, soils
from cropflow.simulation.weather import Conditions, calendar_days, conditions, harvest_year, moisture

# The table is rounded to .05 and its medians come from 9 to 113 parcels whose sd is .05-.08 at the peak and .13-.25 in
# the months of sowing and harvest: with 15 parcels the median of such a month is known to about .08.
CLOSE, NEAR = 0.12, 0.25
AVERAGE = Conditions(0.0, 0.2, 1.0)


def monthly_ndvi(crop, count=250, variation=1.0, catch_crops=1.0):
    traits = draw_traits(np.random.default_rng(1), count, variation, catch_crops)
    crops, rows = [crop] * count, np.arange(count)
    soil = np.random.default_rng(2).integers(0, 4, count)
    canopy, pale = canopies(crops, traits), pale_flowers(crops)
    dates = np.array([day + step for day in NDVI_DAYS.values() for step in (-10, 0, 10)], np.float32)
    cover = covers(crops, dates, traits, AVERAGE)
    values = [
        ndvi(mix(cover.green[:, i], cover.straw[:, i], cover.flower[:, i], soils(0.5), canopy, pale)[rows, soil])
        for i in range(len(dates))
    ]
    return np.median(np.stack(values, axis=1).reshape(count, len(NDVI_DAYS), 3), axis=2)


def test_every_crop_has_a_calendar_and_a_backscatter_course():
    assert set(CROPS) <= set(PHENOLOGY)
    assert set(CROPS) <= set(BACKSCATTER)


@pytest.mark.parametrize("crop", sorted(NDVI))
def test_monthly_ndvi_is_near_the_table(crop):
    found = np.median(monthly_ndvi(crop), axis=0)
    away = [abs(value - expected) for value, expected in zip(found, NDVI[crop], strict=True) if expected is not None]
    assert max(away) < NEAR
    assert np.mean(np.array(away) < CLOSE) >= 0.75
    assert np.mean(away) < 0.08


def test_parcels_differ_little_at_the_peak_and_much_when_sown_or_harvested():
    maize = monthly_ndvi("maize").std(axis=0)
    assert 0.02 < maize[6] < 0.10  # August
    assert 0.10 < maize[4] < 0.28  # June, emergence
    wheat = monthly_ndvi("winter_wheat").std(axis=0)
    assert 0.02 < wheat[3] < 0.08
    assert 0.07 < wheat[4] < 0.25


def test_two_thirds_of_the_fields_before_maize_are_green_in_winter():
    february = monthly_ndvi("maize")[:, 1]
    assert 0.55 < np.mean(february > 0.5) < 0.78
    assert 0.2 < np.mean(february < 0.4) < 0.45


def test_without_catch_crops_the_ground_before_maize_is_bare():
    assert np.median(monthly_ndvi("maize", catch_crops=0.0)[:, 1]) < 0.4


def test_without_variation_all_parcels_of_a_crop_are_alike():
    for crop in ("winter_wheat", "temporary_grass", "vines"):
        traits = draw_traits(np.random.default_rng(3), 20, 0.0, 0.0)
        cover = covers([crop] * 20, np.arange(-90, 270, 10, dtype=np.float32), traits, AVERAGE)
        if crop == "temporary_grass":  # which cuts are skipped is a choice, not a spread
            assert cover.green.std(axis=0).mean() < 0.1
        else:
            assert cover.green.std(axis=0).max() < 1e-6


def test_covers_are_fractions():
    rng = np.random.default_rng(4)
    crops = sorted(PHENOLOGY) * 8
    traits = draw_traits(rng, len(crops), 3.0, 1.5)
    cover = covers(crops, np.arange(-120, 400, 7, dtype=np.float32), traits, Conditions(12.0, 1.0, 1.1))
    for layer in (cover.green, cover.straw, cover.flower):
        assert layer.min() >= 0
    assert (cover.green + cover.straw + cover.flower).max() < 1.0001


def test_a_later_region_moves_the_whole_calendar():
    traits = draw_traits(np.random.default_rng(5), 3, 0.0, 0.0)
    days = np.arange(0, 250, 1, dtype=np.float32)
    early = covers(["maize"] * 3, days, traits, Conditions(0.0, 0.0, 1.0)).green
    late = covers(["maize"] * 3, days, traits, Conditions(10.0, 0.0, 1.0)).green
    np.testing.assert_allclose(late[:, 10:], early[:, :-10], atol=1e-5)


def test_grass_browns_in_a_drought_and_maize_does_not():
    traits = draw_traits(np.random.default_rng(6), 50, 1.0, 1.0)
    august = np.array([220.0], np.float32)
    for crop, falls in (("permanent_grass", True), ("maize", False)):
        wet = covers([crop] * 50, august, traits, Conditions(0.0, 0.0, 1.0)).green.mean()
        dry = covers([crop] * 50, august, traits, Conditions(0.0, 1.0, 1.0)).green.mean()
        assert (wet - dry > 0.3) == falls


def test_an_unknown_crop_is_named():
    with pytest.raises(CropflowError, match="'papaya' has no calendar"):
        covers(["papaya"], np.zeros(1, np.float32), draw_traits(np.random.default_rng(0), 1, 1, 1), AVERAGE)


def test_southern_seasons_are_half_a_year_off():
    season = Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 5, 31))
    assert harvest_year(season, 48.0) == 2023
    assert harvest_year(season, -26.0) == 2022
    north, south = (calendar_days([datetime.date(2023, 1, 15)], season, latitude)[0] for latitude in (48.0, -26.0))
    assert north == 15
    assert 195 < south < 200  # mid January stands for mid July


def test_the_shift_of_a_year_is_shared_and_the_region_knob_switches_it_off():
    shifts = {
        (land, season): conditions(7, land, season, 47.0, 1.0).shift_days for land in "ab" for season in ("1", "2")
    }
    assert shifts["a", "1"] - shifts["a", "2"] == pytest.approx(shifts["b", "1"] - shifts["b", "2"])
    assert conditions(7, "a", "1", 51.0, 0.0) == Conditions(0.0, 0.0, 1.0)


def test_soil_moisture_has_dry_spells_and_can_be_switched_off():
    season = Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 9, 30))
    series = moisture(1, "a", "2023", season, 48.0, 1.0)
    assert series.dryness.min() >= 0
    assert series.dryness.max() <= 1
    assert 0.5 < series.vv_db.std() < 2
    off = moisture(1, "a", "2023", season, 48.0, 0.0)
    assert not off.vv_db.any()
    assert (off.dryness == 0.5).all()
