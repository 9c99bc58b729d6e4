"""The shadow rule on made-up pixels, and on simulated scenes whose shadows are known."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from cropflow.composites.shadows import shadow_positions, shadows
from cropflow.config.imagery import SHADOW_BANDS
from cropflow.config.sections import Season
from cropflow.config.simulation import Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.simulation.archive import season_acquisitions
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.sentinel2 import Optics, offset_20m
from cropflow.simulation.surface import build_surface

FIELD, SHADE, WATER = (700, 3500, 2200), (400, 1500, 900), (500, 200, 100)


def found(classes, pixels, pixel_m=10.0):
    scl = np.array(classes, np.uint8).reshape(1, 1, -1)
    ground = np.array(pixels, np.uint16).T.reshape(1, 3, 1, -1)
    return shadows(scl, ground, pixel_m)[0, 0].tolist()


def test_dark_ground_near_a_cloud_is_a_shadow():
    assert found([9, 4, 5, 7], [FIELD, FIELD, SHADE, SHADE]) == [False, False, True, True]


def test_without_a_cloud_in_reach_dark_ground_is_ground():
    assert found([4, 5, 3], [FIELD, SHADE, FIELD]) == [False] * 3
    far = [8] + [5] * 101
    assert found(far, [SHADE] * 102)[-2:] == [True, False]
    assert found(far, [SHADE] * 102, pixel_m=20.0)[50:52] == [True, False]


def test_ground_that_is_dark_in_one_infrared_alone_is_no_shadow():
    assert found([10, 4, 4], [FIELD, (400, 1500, 2200), (400, 3000, 900)]) == [False] * 3


def test_water_near_a_cloud_stays_water_whatever_its_class():
    assert found([9, 6, 2, 5, 6], [FIELD, WATER, WATER, WATER, SHADE]) == [False, False, False, False, True]


def test_nodata_clouds_and_snow_are_no_shadows():
    assert found([9, 0, 4, 11], [SHADE, (0, 0, 0), (0, 1500, 0), SHADE]) == [False] * 4


def test_a_missing_band_is_named_with_the_option():
    assert shadow_positions(("B02", "B11", "B08", "B03"), "site a") == [3, 2, 1]
    with pytest.raises(CropflowError, match=r"site a has no band B08, which mask.shadows needs; it has B03, B11. Add"):
        shadow_positions(("B03", "B11"), "site a")


def test_bands_of_other_pixels_are_refused():
    with pytest.raises(ValueError, match="expected B03, B08, B11 of its pixels"):
        shadows(np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2, 2), np.uint16), 10.0)


def simulated(seed: int):
    """Scenes of a simulated year with broken clouds: classes, ground, and the true opacity of shadows and clouds."""
    year = Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 9, 30))
    square = Landscape(centre=(1.6, 48.2), side_km=2.56)
    simulation = Simulation(seed=seed, landscapes={"a": square}, seasons=("s",), imagery_seasons=("s",))
    land = make_landscape("a", square, simulation)
    optics = Optics(seed, land, build_surface(seed, land, "s", year, simulation.difficulty), simulation.difficulty)
    chosen = [
        (acquisition, rank)
        for acquisition, rank in zip(*season_acquisitions(land, "s", simulation, {"s": year}), strict=True)
        if optics.sky(acquisition, float(rank)).shadow.any()
    ]
    shape, begin = land.grid.shape, offset_20m(land.grid)
    rows, columns = (slice(-start, size - start) for start, size in zip(begin, shape, strict=True))

    def to_10m(values):
        return values.repeat(2, axis=0).repeat(2, axis=1)[rows, columns]

    ranks = np.array([rank for _, rank in chosen])
    for scene in optics.scenes([acquisition for acquisition, _ in chosen], ranks):
        product = scene.acquisition.products[-1]
        sky = optics.sky(scene.acquisition, float(ranks[[a for a, _ in chosen].index(scene.acquisition)]))
        ground = [scene.stored(band, product) for band in SHADOW_BANDS]
        ground = [band if band.shape == shape else to_10m(band) for band in ground]
        harmonised = [np.where(band, np.maximum(band.astype(int) - product.offset, 1), 0) for band in ground]
        yield to_10m(scene.classes)[None], np.stack(harmonised).astype(np.uint16)[None], sky


@pytest.mark.parametrize("seed", [4, 7])
def test_the_rule_finds_more_missed_shadow_than_it_takes_clear_ground(seed: int):
    missed = caught = clear = lost = 0
    for scl, ground, sky in simulated(seed):
        counted, rule = np.isin(scl[0], (4, 5, 6, 7)), shadows(scl, ground, 10.0)[0]
        shaded, bright = (sky.shadow > 0.12) & (sky.cloud < 0.02), (sky.shadow < 0.02) & (sky.cloud < 0.02)
        missed += int((counted & shaded).sum())
        caught += int((counted & shaded & rule).sum())
        clear += int((counted & bright).sum())
        lost += int((counted & bright & rule).sum())
    assert missed > 15_000
    assert caught > 0.25 * missed
    assert lost < 0.01 * clear
    assert caught > 4 * lost
