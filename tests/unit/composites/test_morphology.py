from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from cropflow.composites.morphology import grow, half_widths, shrink


def disk(radius: float) -> np.ndarray:
    side = int(radius)
    y, x = np.ogrid[-side : side + 1, -side : side + 1]
    return y * y + x * x <= radius * radius


@st.composite
def masks(draw):
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 40)))
    return draw(arrays.arrays(np.bool_, shape, fill=st.just(False)))


@settings(deadline=None, max_examples=200)
@given(masks(), st.sampled_from([0, 0.5, 1, 1.5, 2, 2.3, 3, 5, 8, 13, 60]))
def test_growing_equals_scipys_dilation_by_the_same_disk(masked, radius):
    expected = [ndimage.binary_dilation(raster, disk(radius)) for raster in masked]
    np.testing.assert_array_equal(grow(masked, radius), expected)


@settings(deadline=None, max_examples=200)
@given(masks(), st.sampled_from([0, 1, 2, 5, 8]))
def test_shrinking_equals_scipys_erosion_with_nothing_clear_beyond_the_edges(masked, radius):
    expected = [ndimage.binary_erosion(raster, disk(radius), border_value=1) for raster in masked]
    np.testing.assert_array_equal(shrink(masked, ~masked, radius), expected)


@pytest.mark.parametrize("radius", [8, 38, 253, 254, 300])
def test_a_long_radius_is_as_exact_as_a_short_one(radius: int):
    masked = np.zeros((1, 90, 700), dtype=bool)
    masked[0, [3, 40, 89], [350, 10, 699]] = True
    distance = ndimage.distance_transform_edt(~masked[0])
    np.testing.assert_array_equal(grow(masked, radius)[0], distance <= radius)


def test_each_raster_grows_by_itself_and_the_mask_that_was_given_is_left_alone():
    masked = np.zeros((2, 2, 5, 5), dtype=bool)
    masked[0, 1, 2, 2] = True
    before = masked.copy()
    grown = grow(masked, 1)
    np.testing.assert_array_equal(masked, before)
    assert grown.sum(axis=(2, 3)).tolist() == [[0, 5], [0, 0]]


def test_a_part_of_a_raster_grows_like_its_copy():
    masked = np.random.default_rng(0).random((20, 30)) < 0.05
    np.testing.assert_array_equal(grow(masked[2:15:2, 3:21], 3), grow(masked[2:15:2, 3:21].copy(), 3))


def test_a_disk_keeps_its_tips():
    assert half_widths(5).tolist() == [6, 5, 5, 5, 4, 1, 0]
    assert half_widths(30 / 10).tolist() == [4, 3, 3, 1, 0]
    assert half_widths(0.3 / 0.1).tolist() == [4, 3, 3, 1, 0]


def test_what_is_no_mask_or_no_radius_is_refused():
    with pytest.raises(ValueError, match=r"masked is uint8 .*; expected bool"):
        grow(np.zeros((3, 3), np.uint8), 1)
    with pytest.raises(ValueError, match="radius is -1; expected 0 pixels or more"):
        grow(np.zeros((3, 3), bool), -1)
    with pytest.raises(ValueError, match="expected the same pixels"):
        shrink(np.zeros((3, 3), bool), np.zeros((3, 4), bool), 1)
