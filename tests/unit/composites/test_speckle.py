"""The multi-temporal filter against its definition, and what it may and may not change."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from cropflow.composites.radar.kernels import NODATA
from cropflow.composites.radar.speckle import filter_speckle, window_radius
from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.simulation.archive import season_passes
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.sentinel1 import Radar, speckle
from cropflow.simulation.surface import build_surface


def plain_filter(backscatter, days, orbit, radius, reach):
    """The definition, pixel by pixel, in double precision."""
    valid = backscatter != NODATA
    power = np.where(valid, 10 ** (backscatter / 1000.0), 0)
    local = np.zeros_like(power)
    for i, band, y, x in np.ndindex(*backscatter.shape):
        box = np.s_[i, band, max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        local[i, band, y, x] = power[box].sum() / max(valid[box].sum(), 1)
    out = np.full(backscatter.shape, NODATA)
    for k, band, y, x in np.ndindex(*backscatter.shape):
        if not valid[k, band, y, x]:
            continue
        ratios = [
            power[i, band, y, x] / local[i, band, y, x]
            for i in range(len(backscatter))
            if valid[i, band, y, x] and orbit[i] == orbit[k] and abs(round(days[i] - days[k])) <= reach
        ]
        out[k, band, y, x] = round(1000 * np.log10(local[k, band, y, x] * np.mean(ratios)))
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.just(2), st.integers(1, 5), st.integers(1, 6)).flatmap(
        lambda shape: arrays.arrays(np.int16, shape, elements=st.one_of(st.just(NODATA), st.integers(-3000, 0)))
    ),
    st.integers(1, 3),
    st.randoms(),
)
def test_the_kernel_is_the_definition(backscatter, radius, random):
    days = np.array([random.choice([0.0, 12.0, 24.00001, 60.0, 90.0]) for _ in backscatter])
    orbit = np.array([random.randrange(2) for _ in backscatter])
    found = filter_speckle(backscatter, days, orbit, radius, 24)
    expected = plain_filter(backscatter, days, orbit, radius, 24)
    np.testing.assert_array_equal(found == NODATA, backscatter == NODATA)
    assert np.abs(found.astype(int) - expected).max(initial=0) <= 1


def grains(n_passes, seed=0, shape=(60, 60)):
    """Passes over one field of 0.1 whose speckle is independent from pass to pass."""
    rng = np.random.default_rng(seed)
    power = np.stack([0.1 * np.stack([speckle(rng, shape), speckle(rng, shape)]) for _ in range(n_passes)])
    return np.rint(1000 * np.log10(power)).astype(np.int16)


def looks(backscatter):
    """Equivalent number of looks of a uniform field: mean^2 / variance of the power."""
    power = 10 ** (backscatter / 1000.0)
    return float(power.mean() ** 2 / power.var())


def test_looks_are_gained_and_the_mean_stays():
    raw = grains(21)
    days, orbit = 6.0 * np.arange(21), np.zeros(21, int)
    filtered = filter_speckle(raw, days, orbit, 3, 60)
    middle = np.s_[10, 0, 5:-5, 5:-5]
    assert looks(raw[middle]) == pytest.approx(4.4, abs=0.7)
    assert looks(filtered[middle]) > 5 * looks(raw[middle])
    power = [10 * np.log10((10 ** (values / 1000.0)).mean()) for values in (raw[middle], filtered[middle])]
    assert power[1] == pytest.approx(power[0], abs=0.1)


def test_in_simulated_parcels_looks_rise_from_4_4_to_more_than_20():
    seasons = {"s": Season(start=datetime.date(2023, 1, 1), end=datetime.date(2023, 12, 31))}
    square = {"a": Landscape(centre=(2.6, 49.2), side_km=1.28)}
    clean = Difficulty(border_noise=0, overflow=0)
    simulated = Simulation(seed=5, landscapes=square, seasons=("s",), imagery_seasons=("s",), difficulty=clean)
    land = make_landscape("a", square["a"], simulated)
    surface = build_surface(5, land, "s", seasons["s"], clean, with_patterns=False)
    passes = [one for one in season_passes(land, "s", simulated, seasons) if one.direction == "ascending"]
    scenes = [scene for _, scene in Radar(5, land, surface, clean).scenes(passes)]
    raw = np.rint(100 * np.stack([[scene["vv"], scene["vh"]] for scene in scenes])).astype(np.int16)
    days = np.array([one.time.timestamp() / 86400 for one in passes])
    filtered = filter_speckle(raw, days, np.zeros(len(days), int), 3, 60)
    # Pixels of 10 m whose quarters belong to one parcel, three pixels away from its edge.
    height, width = land.grid.shape
    quarters = surface.stand[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    parcel = np.where((quarters == quarters[:, :1, :, :1]).all(axis=(1, 3)), quarters[:, 0, :, 0], -1)
    inner = [ndimage.binary_erosion(parcel == one, iterations=3) for one in np.unique(parcel[parcel >= 0])]
    large = [inside for inside in inner if inside.sum() >= 150]
    assert len(large) >= 10
    found = [
        np.median([looks(scene[band, inside]) for inside in large for scene in stack for band in (0, 1)])
        for stack in (raw, filtered)
    ]
    assert found[0] == pytest.approx(4.4, abs=0.2)
    assert found[1] > 20
    for band in (0, 1):
        power = [(10 ** (stack[:, band] / 1000.0)).mean() for stack in (raw, filtered)]
        assert 10 * np.log10(power[1] / power[0]) == pytest.approx(0, abs=0.05)


def test_the_edge_of_a_field_stays_where_it_is():
    raw = grains(21)
    raw[:, :, :, 30:] += 600  # 6 dB brighter from one pixel to the next
    filtered = filter_speckle(raw, 6.0 * np.arange(21), np.zeros(21, int), 3, 60)
    power = (10 ** (filtered[10, 0] / 1000.0)).mean(axis=0)
    assert 10 * np.log10(power[30] / power[29]) == pytest.approx(6, abs=1)


def test_passes_that_are_far_in_time_or_of_another_orbit_do_not_count():
    raw = grains(3)
    alone = filter_speckle(raw[:1], np.zeros(1), np.zeros(1, int), 3, 60)
    for days, orbit in (([0, 61, 90], [0, 0, 0]), ([0, 12, 24], [0, 1, 2])):
        np.testing.assert_array_equal(filter_speckle(raw, np.array(days, float), np.array(orbit), 3, 60)[:1], alone)
    assert (filter_speckle(raw, np.array([0, 60.0001, 12]), np.zeros(3, int), 3, 60)[:1] != alone).any()
    # Alone, a pass is what it was.
    np.testing.assert_allclose(alone, raw[:1], atol=1)


def test_a_block_with_a_margin_gives_the_same_bits_as_the_whole():
    rng = np.random.default_rng(2)
    raw = rng.integers(-2500, -500, (6, 2, 40, 37)).astype(np.int16)
    raw[rng.random(raw.shape) < 0.2] = NODATA
    days, orbit = 12.0 * np.arange(6), np.zeros(6, int)
    whole = filter_speckle(raw, days, orbit, 4, 60)
    part = filter_speckle(raw[:, :, 6:34, 9:33], days, orbit, 4, 60)
    np.testing.assert_array_equal(part[:, :, 4:-4, 4:-4], whole[:, :, 10:30, 13:29])


@pytest.mark.parametrize(
    ("side_m", "pixel_m", "radius"), [(70, 10, 3), (60, 10, 3), (50, 10, 2), (70, 20, 1), (20, 10, 1)]
)
def test_the_window_has_an_odd_number_of_pixels(side_m, pixel_m, radius):
    assert window_radius(side_m, pixel_m) == radius


def test_a_window_of_one_pixel_is_refused():
    with pytest.raises(CropflowError, match="speckle_window_m is 15, a single pixel of 10 m; expected at least 20"):
        window_radius(15, 10)
