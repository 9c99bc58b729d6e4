from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.composites import fill_gaps, masked_median, monthly_median, valid_observations
from cropflow.composites.networks import merge_exchange
from cropflow.errors import CropflowError

# Few different values make ties; the extremes are what the kernel uses itself.
VALUES = st.sampled_from([0, 1, 2, 3, 4, 10000, 65534, 65535])


def plain_median(reflectance, valid, period, n_periods):
    """The definition, pixel by pixel."""
    n_scenes, n_bands, height, width = reflectance.shape
    composite = np.zeros((n_periods, n_bands, height, width), dtype=np.uint16)
    observations = np.zeros((n_periods, height, width), dtype=np.uint8)
    for p, y, x in np.ndindex(n_periods, height, width):
        here = [s for s in range(n_scenes) if period[s] == p and valid[s, y, x]]
        observations[p, y, x] = min(len(here), 255)
        for band in range(n_bands):
            values = sorted(int(reflectance[s, band, y, x]) for s in here)
            if values:
                middle = values[(len(values) - 1) // 2] + values[len(values) // 2]
                composite[p, band, y, x] = (middle + 1) // 2
    return composite, observations


def plain_fill(composite, observations, max_gap):
    """The definition, pixel by pixel."""
    out, filled = composite.copy(), np.zeros(observations.shape, dtype=bool)
    for p, y, x in np.ndindex(observations.shape):
        seen = [q for q in range(len(observations)) if observations[q, y, x] > 0]
        if p in seen:
            continue
        out[p, :, y, x] = 0
        before, after = [q for q in seen if q < p], [q for q in seen if q > p]
        run = (after[0] if after else len(observations)) - (before[-1] if before else -1) - 1
        if not seen or run > max_gap:
            continue
        ends = before[-1:] + after[:1]
        values = composite[ends, :, y, x].astype(int)
        out[p, :, y, x] = (values.sum(axis=0) + len(ends) - 1) // len(ends)
        filled[p, y, x] = True
    return out, filled


@st.composite
def cubes(draw):
    n_scenes, n_periods = draw(st.integers(0, 14)), draw(st.integers(1, 3))
    shape = (n_scenes, draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 5)))
    reflectance = draw(arrays.arrays(np.uint16, shape, elements=VALUES))
    valid = draw(arrays.arrays(np.bool_, (n_scenes, *shape[2:])))
    period = draw(arrays.arrays(np.int64, (n_scenes,), elements=st.integers(0, n_periods - 1)))
    return reflectance, valid, period, n_periods


@settings(deadline=None, max_examples=200)
@given(cubes())
def test_the_median_equals_its_definition(cube):
    composite, observations = monthly_median(*cube)
    expected, counts = plain_median(*cube)
    assert composite.dtype == np.uint16
    assert observations.dtype == np.uint8
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@settings(deadline=None, max_examples=200)
@given(cubes(), st.integers(0, 2**32 - 1), st.sets(st.integers(0, 11), min_size=1), st.integers(1, 3))
def test_the_median_masks_as_it_goes(cube, seed: int, classes: set[int], workers: int):
    reflectance, _, period, n_periods = cube
    scl = np.random.default_rng(seed).integers(0, 12, (len(period), *reflectance.shape[2:]), dtype=np.uint8)
    valid = valid_observations(reflectance, scl, classes)
    composite, observations = masked_median(reflectance, scl, classes, period, n_periods, workers)
    expected, counts = plain_median(reflectance, valid, period, n_periods)
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@pytest.mark.parametrize("n_bands", [1, 4, 5, 6, 10, 11])
def test_a_zero_in_any_band_leaves_the_observation_out_of_all(n_bands: int):
    for band in range(n_bands):
        reflectance = np.full((2, n_bands, 1, 3), 7, dtype=np.uint16)
        reflectance[1] = 9
        reflectance[0, band, 0, 1] = 0
        composite, observations = masked_median(
            reflectance, np.full((2, 1, 3), 4, np.uint8), (4,), np.zeros(2, np.int64), 1
        )
        assert observations[0, 0].tolist() == [2, 1, 2]
        assert (composite[0, :, 0] == [8, 9, 8]).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(15, 45), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_month_of_many_scenes_has_the_median_of_those_that_are_clear(n_scenes: int, seed: int, clear: float):
    rng = np.random.default_rng(seed)
    reflectance = rng.integers(1, 30, (n_scenes, 2, 3, 5), dtype=np.uint16)
    valid = rng.random((n_scenes, 3, 5)) < clear
    cube = reflectance, valid, np.zeros(n_scenes, np.int64), 1
    composite, observations = monthly_median(*cube)
    expected, counts = plain_median(*cube)
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_threads_share_the_pixels_without_a_seam(workers: int):
    rng = np.random.default_rng(workers)
    reflectance = rng.integers(1, 99, (7, 2, 3, 1000), dtype=np.uint16)
    valid = rng.random((7, 3, 1000)) < 0.6
    cube = reflectance, valid, rng.integers(0, 2, 7), 2
    for given_one, expected in zip(monthly_median(*cube, workers), plain_median(*cube), strict=True):
        np.testing.assert_array_equal(given_one, expected)


@pytest.mark.parametrize("size", range(1, 41))
def test_the_network_sorts_and_so_does_its_beginning(size: int):
    rng = np.random.default_rng(size)
    steps = merge_exchange(size)
    for n in range(1, size + 1):
        values = rng.integers(0, 9, (n, 200))
        expected = np.sort(values, axis=0)
        for i, j in steps:
            if j < n:
                values[i], values[j] = np.minimum(values[i], values[j]), np.maximum(values[i], values[j])
        np.testing.assert_array_equal(values, expected)


def test_the_steps_of_the_network_become_vector_instructions(tmp_path: Path):
    import subprocess
    import sys

    from llvmlite import binding

    if "+avx2" not in binding.get_host_cpu_features().flatten().split(","):
        pytest.skip("needs a processor with AVX2")
    # In a process and a cache of its own: a kernel that was read from a cache has no assembly.
    code = (
        "import numpy as np\n"
        "from cropflow.composites import monthly_median, networks\n"
        "monthly_median(np.ones((6, 1, 1, 9), 'u2'), np.ones((6, 1, 9), bool), np.zeros(6, int), 1)\n"
        "for kernel in (networks._six, networks._exchange):\n"
        "    print(*kernel.inspect_asm().values())\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    for instruction in ("vpminuw", "vpmaxuw"):
        assert len(re.findall(instruction + r"\s.*%[yz]mm", found.stdout)) >= 8


@pytest.mark.parametrize("width", [1023, 1024, 1025, 2500])
def test_rows_longer_than_a_segment_are_whole(width: int):
    rng = np.random.default_rng(width)
    reflectance = rng.integers(1, 65536, (9, 2, 2, width), dtype=np.uint16)
    valid = rng.random((9, 2, width)) < 0.5
    valid[:, :, width // 2 :] &= rng.random((9, 2, 1)) < 0.5
    period = rng.integers(0, 2, 9)
    expected, counts = plain_median(reflectance, valid, period, 2)
    composite, observations = monthly_median(reflectance, valid, period, 2)
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(observations, counts)


@pytest.mark.parametrize("n_scenes", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 64, 100])
def test_any_number_of_scenes_in_a_month_is_sorted(n_scenes: int):
    rng = np.random.default_rng(n_scenes)
    reflectance = rng.integers(0, 65536, (n_scenes, 1, 1, 40), dtype=np.uint16)
    valid = np.ones((n_scenes, 1, 40), dtype=bool)
    composite, _ = monthly_median(reflectance, valid, np.zeros(n_scenes, int), 1)
    expected = np.floor(np.median(reflectance.astype(float), axis=0) + 0.5)
    np.testing.assert_array_equal(composite[0], expected)


def test_halves_are_rounded_up():
    reflectance = np.array([3, 4], dtype=np.uint16).reshape(2, 1, 1, 1)
    composite, _ = monthly_median(reflectance, np.ones((2, 1, 1), bool), np.zeros(2, int), 1)
    assert composite[0, 0, 0, 0] == 4


def test_a_cloudy_observation_does_not_move_the_median():
    reflectance = np.array([100, 200, 300, 9999], dtype=np.uint16).reshape(4, 1, 1, 1)
    valid = np.array([True, True, True, False]).reshape(4, 1, 1)
    composite, observations = monthly_median(reflectance, valid, np.zeros(4, int), 1)
    assert composite[0, 0, 0, 0] == 200
    assert observations[0, 0, 0] == 3


def test_a_month_without_an_observation_in_the_middle_is_nodata():
    reflectance = np.full((3, 2, 1, 4), 500, dtype=np.uint16)
    valid = np.ones((3, 1, 4), dtype=bool)
    valid[1] = False
    composite, observations = monthly_median(reflectance, valid, np.array([0, 1, 2]), 3)
    assert (composite[1] == 0).all()
    assert (composite[[0, 2]] == 500).all()
    assert observations[:, 0, 0].tolist() == [1, 0, 1]


def test_counts_stop_at_255_and_the_median_does_not():
    reflectance = np.arange(1, 302, dtype=np.uint16).reshape(301, 1, 1, 1)
    composite, observations = monthly_median(reflectance, np.ones((301, 1, 1), bool), np.zeros(301, int), 1)
    assert observations[0, 0, 0] == 255
    assert composite[0, 0, 0, 0] == 151


def test_the_order_of_scenes_does_not_matter():
    rng = np.random.default_rng(1)
    reflectance = rng.integers(1, 9, (12, 2, 3, 4), dtype=np.uint16)
    valid, period = rng.random((12, 3, 4)) < 0.6, rng.integers(0, 4, 12)
    order = rng.permutation(12)
    one, other = (
        monthly_median(reflectance, valid, period, 4),
        monthly_median(reflectance[order], valid[order], period[order], 4),
    )
    np.testing.assert_array_equal(one[0], other[0])


def test_a_view_gives_what_its_copy_gives():
    rng = np.random.default_rng(2)
    reflectance = rng.integers(1, 99, (6, 2, 8, 8), dtype=np.uint16)
    valid = rng.random((6, 8, 8)) < 0.6
    window = np.s_[:, :, 1:7:2, 2:6]
    some = monthly_median(reflectance[window], valid[:, 1:7:2, 2:6], np.zeros(6, int), 1)[0]
    np.testing.assert_array_equal(some, monthly_median(reflectance, valid, np.zeros(6, int), 1)[0][window])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reflectance": np.zeros((2, 1, 1, 1), np.int16)}, "reflectance is int16"),
        ({"valid": np.zeros((3, 1, 1), bool)}, "expected bool"),
        ({"valid": np.zeros((2, 1, 1), np.uint8)}, "expected bool"),
        ({"period": np.array([0])}, "period has the shape"),
        ({"period": np.array([0, 2])}, "periods run from 0 to 2"),
        ({"period": np.array([-1, 0])}, "periods run from -1"),
    ],
)
def test_arrays_that_do_not_match_are_refused(change: dict, message: str):
    good = {
        "reflectance": np.zeros((2, 1, 1, 1), np.uint16),
        "valid": np.zeros((2, 1, 1), bool),
        "period": np.array([0, 1]),
        "n_periods": 2,
    }
    with pytest.raises(ValueError, match=message):
        monthly_median(**(good | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scl": np.zeros((2, 1, 1), bool)}, "scl is bool"),
        ({"scl": np.full((2, 1, 1), 32, np.uint8)}, "scene classes reach 32"),
        ({"classes": (4, 40)}, "scene classes reach 40"),
    ],
)
def test_classes_that_do_not_fit_are_refused(change: dict, message: str):
    good = {
        "reflectance": np.zeros((2, 1, 1, 1), np.uint16),
        "scl": np.zeros((2, 1, 1), np.uint8),
        "classes": (4,),
        "period": np.array([0, 1]),
        "n_periods": 2,
    }
    with pytest.raises(ValueError, match=message):
        masked_median(**(good | change))


@st.composite
def series(draw):
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    observations = draw(arrays.arrays(np.uint8, (shape[0], *shape[2:]), elements=st.sampled_from([0, 0, 1, 255])))
    composite = draw(arrays.arrays(np.uint16, shape, elements=st.sampled_from([1, 2, 5, 65534, 65535])))
    return np.where(observations[:, None] > 0, composite, 0).astype(np.uint16), observations, draw(st.integers(0, 9))


@settings(deadline=None, max_examples=300)
@given(series())
def test_the_fill_equals_its_definition(case):
    composite, filled = fill_gaps(*case)
    expected, marked = plain_fill(*case)
    np.testing.assert_array_equal(composite, expected)
    np.testing.assert_array_equal(filled, marked)


@settings(deadline=None)
@given(series())
def test_filled_is_true_exactly_where_a_value_was_written_without_an_observation(case):
    composite, filled = fill_gaps(*case)
    np.testing.assert_array_equal(filled, (case[1] == 0) & (composite > 0).all(axis=1))
    assert (composite[:, :][np.broadcast_to((case[1] > 0)[:, None], composite.shape)] == case[0][case[0] > 0]).all()


def column(values):
    composite = np.array(values, dtype=np.uint16).reshape(-1, 1, 1, 1)
    return composite, (composite[:, 0] > 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("values", "max_gap", "expected"),
    [
        ([3, 0, 4], 3, [3, 4, 4]),
        ([10, 0, 0, 20], 3, [10, 15, 15, 20]),
        ([0, 0, 7, 0], 3, [7, 7, 7, 7]),
        ([0, 0, 0, 7, 8], 3, [7, 7, 7, 7, 8]),
        ([0, 0, 0, 0, 7, 8], 3, [0, 0, 0, 0, 7, 8]),
        ([5, 0, 0, 0, 0, 7, 0, 9], 3, [5, 0, 0, 0, 0, 7, 8, 9]),
        ([7, 0, 0], 1, [7, 0, 0]),
        ([7, 0, 9], 0, [7, 0, 9]),
        ([0, 0], 9, [0, 0]),
    ],
)
def test_runs_up_to_the_limit_are_filled_edges_included(values: list[int], max_gap: int, expected: list[int]):
    composite, filled = fill_gaps(*column(values), max_gap)
    assert composite.ravel().tolist() == expected
    assert filled.ravel().tolist() == [new > 0 and old == 0 for old, new in zip(values, expected, strict=True)]


def test_the_composite_that_was_given_is_left_alone():
    composite, observations = column([3, 0, 4])
    fill_gaps(composite, observations, 3)
    assert composite.ravel().tolist() == [3, 0, 4]


def test_gaps_of_other_pixels_or_a_negative_limit_are_refused():
    with pytest.raises(ValueError, match="same pixels"):
        fill_gaps(np.zeros((2, 1, 1, 1), np.uint16), np.zeros((2, 1, 2), np.uint8), 3)
    with pytest.raises(ValueError, match="max_gap is -1"):
        fill_gaps(*column([1]), -1)


def test_an_observation_is_valid_where_its_class_is_clear_and_every_band_has_a_value():
    reflectance = np.array([[[[5, 0, 5, 5]], [[5, 5, 5, 5]]]], dtype=np.uint16)
    scl = np.array([[[4, 4, 8, 0]]], dtype=np.uint8)
    assert valid_observations(reflectance, scl, (4, 5)).tolist() == [[[True, False, False, False]]]


def test_scene_classes_of_another_grid_are_refused():
    with pytest.raises(ValueError, match="same pixels"):
        valid_observations(np.zeros((1, 1, 2, 2), np.uint16), np.zeros((1, 1, 2), np.uint8), (4,))


def test_a_scene_class_above_11_is_refused():
    from cropflow.composites.masking import check_scl

    with pytest.raises(CropflowError, match="Scene classes of site a reach 12; expected 0 to 11"):
        check_scl(np.array([4, 12], dtype=np.uint8), "site a")
