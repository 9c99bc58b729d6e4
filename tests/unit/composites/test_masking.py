from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites import valid_observations
from cropflow.composites.blocks import windows
from cropflow.composites.masking import clear_observations, halo_pixels, with_halo
from cropflow.config.imagery import Mask
from cropflow.errors import CropflowError

CLASSES = st.sampled_from([0, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 10, 11])


def clear(scl, mask, **options):
    """The mask of one scene in which every band has a value, on pixels of 10 m."""
    scl = np.asarray(scl, dtype=np.uint8)[np.newaxis]
    valid, hazy = clear_observations(scl, np.ones((1, 1, *scl.shape[1:]), np.uint16), mask, 10.0, "site a", **options)
    return valid[0].astype(int).tolist(), hazy if hazy is None else hazy[0].astype(int).tolist()


@settings(deadline=None)
@given(arrays.arrays(np.uint8, (2, 4, 5), elements=CLASSES), arrays.arrays(np.uint16, (2, 3, 4, 5)))
def test_without_options_a_clear_class_and_a_value_in_every_band_are_all_that_counts(scl, reflectance):
    valid, hazy = clear_observations(scl, reflectance, Mask(), 10.0, "site a")
    np.testing.assert_array_equal(valid, valid_observations(reflectance, scl, (4, 5, 6, 7)))
    assert hazy is None


def test_what_is_masked_grows_in_metres():
    scl = [[4, 4, 4, 4, 9, 4, 4]]
    assert clear(scl, Mask(dilate_m=20))[0] == [[1, 1, 0, 0, 0, 0, 0]]
    assert clear(scl, Mask(dilate_m=19))[0] == [[1, 1, 1, 0, 0, 0, 1]]


def test_specks_vanish_before_clouds_grow():
    scl = np.full((9, 20), 4)
    scl[4, 2] = 9
    scl[2:7, 10:15] = 9
    eroded = np.array(clear(scl, Mask(erode_m=10))[0])
    assert eroded[:, :9].all()
    assert (eroded[:, 9:] == 0).sum() == 9
    opened = np.array(clear(scl, Mask(erode_m=10, dilate_m=20))[0])
    assert opened[4, 9:16].tolist() == [0] * 7
    assert opened[:, :8].all()


def test_nodata_neither_grows_nor_shrinks_what_is_masked():
    assert clear([[4, 4, 0, 0, 4, 4]], Mask(dilate_m=20))[0] == [[1, 1, 0, 0, 1, 1]]
    assert clear([[4, 9, 9, 0, 0, 9]], Mask(erode_m=10))[0] == [[1, 1, 0, 0, 0, 0]]


def test_a_site_under_cloud_stays_masked_up_to_its_edges():
    assert not np.array(clear(np.full((6, 6), 9), Mask(erode_m=30))[0]).any()


def test_a_defective_pixel_does_not_become_valid_by_shrinking():
    assert clear([[4, 4, 1, 4, 4]], Mask(erode_m=10))[0] == [[1, 1, 0, 1, 1]]
    assert clear([[4, 4, 1, 4, 4]], Mask(erode_m=10, classes=(1, 4)))[0] == [[1, 1, 1, 1, 1]]


def test_a_band_without_a_value_makes_a_pixel_invalid_and_does_not_grow():
    scl = np.full((1, 1, 3), 4, np.uint8)
    reflectance = np.array([5, 0, 5], np.uint16).reshape(1, 1, 1, 3)
    valid, _ = clear_observations(scl, reflectance, Mask(dilate_m=10), 10.0, "site a")
    assert valid.tolist() == [[[True, False, True]]]


def test_class_7_is_told_apart_only_where_tiers_are_asked_for():
    assert clear([[4, 7, 8]], Mask(tiered=True)) == ([[1, 1, 0]], [[0, 1, 0]])
    assert clear([[4, 7, 8]], Mask()) == ([[1, 1, 0]], None)


def test_a_pixel_is_clear_from_the_score_upwards_and_no_score_is_not_clear():
    score = np.array([[[59, 60, 61, 255, 100]]], np.uint8)
    assert clear([[4, 4, 4, 4, 8]], Mask(cloud_score=0.6), cloud_score=score)[0] == [[0, 1, 1, 0, 0]]
    assert clear([[4, 4, 4, 4, 8]], Mask(cloud_score=0.601), cloud_score=score)[0] == [[0, 0, 1, 0, 0]]


def test_a_low_score_grows_and_a_missing_one_does_not():
    score = np.array([[[90, 10, 90, 90, 90, 255]]], np.uint8)
    assert clear([[4] * 6], Mask(cloud_score=0.6, dilate_m=10), cloud_score=score)[0] == [[0, 0, 0, 1, 1, 0]]


def test_scores_that_are_asked_for_and_not_there_are_named():
    with pytest.raises(CropflowError, match=r"site a have no Cloud Score\+, and mask.cloud_score is 0.6. Set"):
        clear([[4]], Mask(cloud_score=0.6))


def test_a_shadow_is_masked_and_grows_like_a_cloud():
    ground = np.full((1, 3, 1, 6), 3000, np.uint16)
    ground[0, :, 0, 3] = 500, 1000, 800
    scl = [[9, 4, 4, 5, 4, 4]]
    assert clear(scl, Mask(shadows=True), ground=ground)[0] == [[0, 1, 1, 0, 1, 1]]
    assert clear(scl, Mask(shadows=True, dilate_m=10), ground=ground)[0] == [[0, 0, 0, 0, 0, 1]]
    with pytest.raises(ValueError, match="ground is None; expected B03, B08 and B11"):
        clear(scl, Mask(shadows=True))


def test_the_halo_is_what_all_rules_reach_together():
    assert halo_pixels(Mask(), 10) == 0
    assert halo_pixels(Mask(erode_m=30, dilate_m=80), 10) == 11
    assert halo_pixels(Mask(dilate_m=25, shadows=True), 10) == 102


def test_a_halo_ends_where_the_grid_ends():
    outer, inner = with_halo((slice(0, 4), slice(4, 8)), (9, 10), 3)
    assert outer == (slice(0, 7), slice(1, 10))
    assert inner == (slice(0, 4), slice(3, 7))


@pytest.mark.parametrize(
    "mask",
    [
        Mask(),
        Mask(dilate_m=70),
        Mask(erode_m=20),
        Mask(erode_m=20, dilate_m=50, cloud_score=0.5),
        Mask(erode_m=10, dilate_m=20, shadows=True, tiered=True),
    ],
)
def test_blocks_with_their_halo_give_what_the_whole_site_gives(mask: Mask):
    rng = np.random.default_rng(3)
    shape = (150, 140)
    scl = rng.choice([0, 4, 4, 4, 4, 5, 7, 9], (3, 15, 14)).astype(np.uint8).repeat(10, axis=1).repeat(10, axis=2)
    scl[:, :, 40:][scl[:, :, 40:] == 9] = 6  # clouds in the west alone, so that shadows have a reach
    scl[rng.random(scl.shape) < 0.001] = 3
    reflectance = rng.integers(0, 3000, (3, 3, *shape), dtype=np.uint16)
    score = rng.choice([20, 90, 90, 255], scl.shape).astype(np.uint8)
    whole, hazy = clear_observations(scl, reflectance, mask, 10.0, "site a", ground=reflectance, cloud_score=score)
    found, found_hazy = np.zeros_like(whole), np.zeros_like(whole)
    for window in windows(shape, 32):
        outer, inner = with_halo(window, shape, halo_pixels(mask, 10.0))
        found[:, *window], some = clear_observations(
            scl[:, *outer],
            reflectance[:, :, *window],
            mask,
            10.0,
            "site a",
            inner=inner,
            ground=reflectance[:, :, *outer],
            cloud_score=score[:, *outer],
        )
        if some is not None:
            found_hazy[:, *window] = some
    assert 0.02 < whole.mean() < 0.9
    np.testing.assert_array_equal(found, whole)
    if hazy is not None:
        assert hazy.any()
        np.testing.assert_array_equal(found_hazy, hazy)


def test_a_window_of_other_pixels_or_a_class_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="expected the same pixels"):
        clear_observations(np.zeros((1, 3, 3), np.uint8), np.zeros((1, 1, 2, 2), np.uint16), Mask(), 10.0, "site a")
    with pytest.raises(ValueError, match="cloud_score has the shape"):
        clear([[4]], Mask(cloud_score=0.6), cloud_score=np.zeros((1, 1, 2), np.uint8))
    with pytest.raises(CropflowError, match="Scene classes of site a reach 12; expected 0 to 11"):
        clear([[12]], Mask())
