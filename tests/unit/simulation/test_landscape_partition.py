from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.simulation.fields import FARMLAND, HECTARE_M2, WOODLAND, draw_areas, tile
from cropflow.simulation.noise import generator
from cropflow.simulation.outlines import PAD_M, change_outlines, cut_through, draw_bend, lay_out
from cropflow.simulation.partition import area, cut, direction, halves, longest_edge_angle, part_below

SQUARE = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]])


@given(
    angle=st.floats(0.001, 2 * math.pi),
    share=st.floats(0.01, 0.99),
    corners=st.lists(st.floats(0, 2 * math.pi), min_size=5, max_size=9, unique_by=lambda value: round(value, 2)),
)
@settings(deadline=None, max_examples=60)
def test_a_cut_leaves_the_wanted_share_below(angle, share, corners):
    at = np.sort(np.array(corners))
    polygon = np.stack([300 * np.cos(at), 100 * np.sin(at)], axis=1)
    whole = area(polygon)
    below, strip, above = cut(polygon, direction(angle), share)
    assert strip is None
    assert area(below) + area(above) == pytest.approx(whole, rel=1e-9)
    assert area(below) / whole == pytest.approx(share, abs=1e-6)


def test_a_cut_with_a_gap_leaves_a_strip_of_that_width():
    below, strip, above = cut(SQUARE, direction(0.0), 0.5, 10.0)
    assert [area(part) for part in (below, strip, above)] == pytest.approx([4500, 1000, 4500])


def test_nothing_lies_below_a_line_beside_the_polygon():
    assert len(part_below(SQUARE, direction(0.0), -1.0)) == 0
    assert area(part_below(SQUARE, direction(0.0), 101.0)) == pytest.approx(10_000)


def test_the_longest_edge_gives_the_angle():
    assert longest_edge_angle(SQUARE * [3, 1]) % math.pi == pytest.approx(0)


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=20), st.integers(0, 100))
def test_a_list_of_areas_is_parted_into_two_sides_that_hold_something(areas, seed):
    assert 1 <= halves(areas, np.random.default_rng(seed)) <= len(areas) - 1


def test_areas_fill_the_total_and_follow_the_register_s_quantiles():
    areas = draw_areas(5000 * HECTARE_M2, 1e7, np.random.default_rng(0))
    assert areas.sum() == pytest.approx(5000 * HECTARE_M2)
    quantiles = np.quantile(areas / HECTARE_M2, [0.05, 0.25, 0.5, 0.75, 0.95])
    assert quantiles == pytest.approx([0.04, 0.3, 0.8, 2.0, 8.0], rel=0.1)


@pytest.mark.parametrize("style", ["cereal", "livestock", "southern"])
def test_pieces_tile_the_rectangle(style):
    pieces = tile(1500, 1200, style, np.random.default_rng(1))
    assert sum(area(piece.outline) for piece in pieces) == pytest.approx(1500 * 1200, rel=1e-9)
    assert shapely.area(shapely.union_all([shapely.polygons(piece.outline) for piece in pieces])) == pytest.approx(
        1500 * 1200, rel=1e-6
    )


def test_livestock_country_has_more_hedges_than_cereal_country():
    def strips(style):
        pieces = tile(3000, 3000, style, np.random.default_rng(2))
        return sum(piece.cover == WOODLAND for piece in pieces)

    assert strips("livestock") > strips("cereal") + 50


@pytest.mark.parametrize("seed", range(8))
def test_bent_neighbours_share_their_borders_without_gaps_and_overlaps(seed):
    rng = np.random.default_rng(seed)
    pieces = tile(1300, 1300, "livestock", rng)
    polygons = lay_out(pieces, draw_bend(rng), (500_000, 5_000_000))
    whole = shapely.union_all(polygons)
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == pytest.approx(shapely.area(whole), rel=1e-9)
    assert shapely.get_type_id(whole) == 3
    assert shapely.get_num_interior_rings(whole) == 0
    straight = np.array([area(piece.outline) for piece in pieces])
    large = straight > 1000
    assert np.abs(shapely.area(polygons)[large] / straight[large] - 1).max() < 0.15


def test_a_bend_moves_nothing_further_than_the_pad():
    points = np.random.default_rng(0).uniform(-3000, 3000, (2000, 2))
    for seed in range(20):
        moved = draw_bend(np.random.default_rng(seed))(points)
        assert np.abs(moved - points).max() < PAD_M


def test_a_line_through_a_field_gives_two_parts():
    one, other = cut_through(shapely.box(0, 0, 100, 50), math.pi / 2, 0.25)
    assert sorted([one.area, other.area]) == pytest.approx([1250, 3750])


def test_a_line_that_leaves_three_parts_is_refused():
    comb = shapely.Polygon([(0, 0), (30, 0), (30, 30), (20, 30), (20, 10), (10, 10), (10, 30), (0, 30)])
    assert cut_through(comb, 0.0, 0.7) is None


def test_outlines_change_at_the_rate_asked_for_and_keep_the_land():
    rng = generator(0, "changes")
    pieces = tile(3000, 3000, "cereal", rng)
    polygons = lay_out(pieces, draw_bend(rng), (0, 0))[[piece.cover == FARMLAND for piece in pieces]]
    changed, before = change_outlines(polygons, np.ones(len(polygons), bool), 0.09, rng)
    kept = {polygon.wkb for polygon in polygons} & {polygon.wkb for polygon in changed}
    assert 1 - len(kept) / len(polygons) == pytest.approx(0.09, abs=0.01)
    assert shapely.area(changed).sum() == pytest.approx(shapely.area(polygons).sum(), rel=1e-9)
    inside = shapely.contains(polygons[before], shapely.point_on_surface(changed))
    assert inside.mean() > 0.95


def test_outlines_that_may_not_change_stay():
    polygons = np.array([shapely.box(0, 0, 200, 200), shapely.box(200, 0, 400, 200)])
    changed, before = change_outlines(polygons, np.zeros(2, bool), 1.0, np.random.default_rng(0))
    assert before.tolist() == [0, 1]
    assert shapely.equals(changed, polygons).all()


def test_two_neighbours_merge_into_one_field_that_descends_from_the_larger():
    polygons = np.array([shapely.box(0, 0, 60, 90), shapely.box(60, 0, 160, 90), shapely.box(500, 0, 590, 90)])
    changed, before = change_outlines(polygons, np.ones(3, bool), 1.0, np.random.default_rng(0))
    assert before.tolist() == [1, 2]
    assert shapely.area(changed).tolist() == pytest.approx([160 * 90, 90 * 90])
