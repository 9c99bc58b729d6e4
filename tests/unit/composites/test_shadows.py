"""The shadow rule on made-up pixels, and on simulated scenes whose shadows are known."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

from cropflow.composites.shadows import shadow_positions, shadows
from cropflow.errors import CropflowError

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


@pytest.fixture(scope="module")
def shadow_rule(root) -> ModuleType:
    """The benchmark that measures the rule on simulated landscapes."""
    spec = importlib.util.spec_from_file_location("shadow_rule", root / "benchmarks" / "shadow_rule.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    sys.modules["shadow_rule"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [4, 7])
def test_the_rule_finds_more_missed_shadow_than_it_takes_clear_ground(shadow_rule, seed: int):
    found = shadow_rule.measure(seed)
    assert found.shaded > 15_000
    assert found.shaded_found > 0.25 * found.shaded
    assert found.lit_lost < 0.01 * found.lit
    assert found.shaded_found > 4 * found.lit_lost
