from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.simulation.crops import CROPS, STYLES
from cropflow.simulation.draws import choose, spread_levels
from cropflow.simulation.fields import draw_areas
from cropflow.simulation.rotation import AFTER, first_crops, next_crops, style_shares, transitions

KEYS = list(CROPS)


def at(style, before, after):
    return transitions(style)[KEYS.index(before), KEYS.index(after)]


@pytest.fixture(scope="module")
def areas_ha():
    return draw_areas(3e7, 4e5, np.random.default_rng(5)) / 1e4


@pytest.mark.parametrize("style", STYLES)
def test_every_row_adds_up_to_one(style):
    matrix = transitions(style)
    assert matrix.shape == (len(CROPS), len(CROPS))
    assert (matrix >= 0).all()
    assert matrix.sum(axis=1) == pytest.approx(np.ones(len(CROPS)))


@pytest.mark.parametrize("style", STYLES)
def test_every_crop_has_a_row_of_known_crops_that_leaves_no_negative_rest(style):
    assert set(AFTER[style]) == set(CROPS)
    for row in AFTER[style].values():
        assert set(row) <= set(CROPS)
        assert sum(row.values()) <= 1 + 1e-12


def test_the_measured_rotations_are_kept():
    assert at("cereal", "rapeseed", "winter_wheat") == pytest.approx(0.90, abs=0.02)
    assert at("cereal", "sugar_beet", "winter_wheat") == pytest.approx(0.90, abs=0.02)
    assert at("cereal", "peas", "winter_wheat") == pytest.approx(0.85, abs=0.02)
    barley = at("cereal", "winter_wheat", "winter_barley") + at("cereal", "winter_wheat", "spring_barley")
    assert barley == pytest.approx(0.55, abs=0.02)
    assert at("cereal", "fallow", "fallow") == pytest.approx(0.90, abs=0.02)
    assert at("southern", "maize", "maize") == pytest.approx(0.70, abs=0.02)


@pytest.mark.parametrize("style", STYLES)
def test_permanent_crops_stay(style):
    for key in ("vines", "orchard", "buffer_strip"):
        assert at(style, key, key) == 1
    assert at(style, "permanent_grass", "permanent_grass") >= 0.95


def test_the_three_styles_rotate_differently():
    assert np.abs(transitions("cereal") - transitions("livestock")).max() > 0.2
    assert np.abs(transitions("cereal") - transitions("southern")).max() > 0.2
    assert np.abs(transitions("livestock") - transitions("southern")).max() > 0.2


@pytest.mark.parametrize("style", STYLES)
def test_a_style_keeps_its_shares_over_ten_years(style):
    shares = style_shares(style)
    later = shares @ np.linalg.matrix_power(transitions(style), 10)
    assert np.abs(later - shares).max() < 0.035
    # Rare crops do not die out.
    assert (later > 0.4 * shares).all()


@pytest.mark.parametrize("style", STYLES)
def test_the_first_season_has_the_shares_of_the_style(style, areas_ha):
    crops = first_crops(areas_ha, np.full(len(areas_ha), 20.0), style, np.random.default_rng(0))
    found = np.bincount(crops, weights=areas_ha, minlength=len(CROPS)) / areas_ha.sum()
    assert np.abs(found - style_shares(style)).max() < 0.03


def test_styles_differ_in_what_they_grow(areas_ha):
    def share(style, key):
        crops = first_crops(areas_ha, np.full(len(areas_ha), 50.0), style, np.random.default_rng(0))
        return areas_ha[crops == KEYS.index(key)].sum() / areas_ha.sum()

    assert share("cereal", "winter_wheat") > 2 * share("livestock", "winter_wheat") * 0.8
    assert share("livestock", "permanent_grass") > share("cereal", "permanent_grass") * 2
    assert share("southern", "vines") > 0.08 > share("cereal", "vines")


def test_crops_of_large_parcels_lie_on_large_parcels(areas_ha):
    crops = first_crops(areas_ha, np.full(len(areas_ha), 20.0), "cereal", np.random.default_rng(1))
    mean = {key: areas_ha[crops == KEYS.index(key)].mean() for key in ("winter_wheat", "permanent_grass", "fallow")}
    assert mean["winter_wheat"] > 1.5 * mean["permanent_grass"] > 1.5 * mean["fallow"]


def test_wide_parcels_are_no_buffer_strips(areas_ha):
    crops = first_crops(areas_ha, np.full(len(areas_ha), 60.0), "cereal", np.random.default_rng(1))
    narrow = first_crops(areas_ha, np.full(len(areas_ha), 8.0), "cereal", np.random.default_rng(1))
    strip = KEYS.index("buffer_strip")
    assert (narrow == strip).sum() > 0
    assert areas_ha[crops == strip].sum() / areas_ha.sum() < 0.03


def test_the_next_crops_follow_the_matrix_on_large_parcels():
    previous = np.full(4000, KEYS.index("rapeseed"))
    crops = next_crops(previous, np.full(4000, 100.0), "cereal", np.random.default_rng(2))
    assert (crops == KEYS.index("winter_wheat")).mean() == pytest.approx(0.90, abs=0.02)


@given(st.integers(1, 400), st.integers(0, 50))
def test_levels_are_spread_evenly_along_the_order(count, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    levels = spread_levels(order, rng)
    assert ((levels >= 0) & (levels < 1)).all()
    for start in range(0, count - 15, 16):
        stratum = levels[order[start : start + 16]]
        assert sorted((stratum * 16).astype(int)) == list(range(16))


def test_two_draws_along_one_order_are_independent():
    rng = np.random.default_rng(0)
    one, other = spread_levels(np.arange(4000), rng), spread_levels(np.arange(4000), rng)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


def test_choosing_equals_a_search_row_by_row():
    rng = np.random.default_rng(3)
    weights, levels = rng.random((50, 6)), rng.random(50)
    weights[:, 2] = 0
    plain = [
        np.searchsorted(row.cumsum(), level * row.sum(), side="right")
        for row, level in zip(weights, levels, strict=True)
    ]
    assert choose(weights, levels).tolist() == plain
    assert 2 not in choose(weights, levels)
