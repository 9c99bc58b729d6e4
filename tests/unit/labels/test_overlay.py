from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.registers import History
from cropflow.labels.overlay import overlay

ALL = History(sliver_share=0, sliver_area_m2=0)


def outlines(*geometries):
    return np.array(geometries, dtype=object)


def lay(parcels, earlier, rule=ALL):
    return overlay(parcels, shapely.area(parcels) / 1e4, earlier, rule)


def rows(pieces):
    return [
        (int(parcel), int(earlier), round(float(share), 9))
        for parcel, earlier, share in zip(pieces.parcel, pieces.earlier, pieces.share, strict=True)
    ]


def test_a_parcel_split_since_is_all_of_one_earlier_parcel():
    pieces = lay(
        outlines(shapely.box(0, 0, 60, 100), shapely.box(60, 0, 100, 100)), outlines(shapely.box(0, 0, 100, 100))
    )
    assert rows(pieces) == [(0, 0, 1.0), (1, 0, 1.0)]
    assert pieces.iou.tolist() == pytest.approx([0.6, 0.4])


def test_a_parcel_merged_since_is_shared_out_by_area():
    pieces = lay(
        outlines(shapely.box(0, 0, 100, 100)), outlines(shapely.box(0, 0, 60, 100), shapely.box(60, 0, 100, 100))
    )
    assert rows(pieces) == [(0, 0, 0.6), (0, 1, 0.4)]


def test_what_no_earlier_parcel_covers_is_left_open():
    pieces = lay(
        outlines(shapely.box(0, 0, 100, 100), shapely.box(500, 0, 600, 100)), outlines(shapely.box(0, 0, 25, 100))
    )
    assert rows(pieces) == [(0, 0, 0.25)]


def test_neighbours_that_only_touch_share_nothing():
    pieces = lay(
        outlines(shapely.box(0, 0, 100, 100)), outlines(shapely.box(100, 0, 200, 100), shapely.box(100, 100, 200, 200))
    )
    assert rows(pieces) == []
    assert pieces.slivers == 0


def test_the_same_outline_is_found_wherever_its_ring_starts_and_whichever_way_it_runs():
    ring = [(0, 0), (100, 0), (110, 50), (100, 100), (0, 100)]
    turned = shapely.Polygon((ring[2:] + ring[:2])[::-1])
    pieces = lay(outlines(shapely.Polygon(ring)), outlines(shapely.box(100, 0, 200, 100), turned))
    # The neighbour overlaps the outline too, but the outline is the other's own.
    assert rows(pieces) == [(0, 1, 1.0)]
    assert pieces.iou.tolist() == [1.0]


def test_a_strip_along_a_moved_border_is_dropped_and_counted():
    moved = outlines(shapely.box(2, 0, 102, 100))
    pieces = lay(moved, outlines(shapely.box(0, 0, 100, 100), shapely.box(100, 0, 200, 100)), History())
    assert rows(pieces) == [(0, 0, 0.98)]
    assert pieces.slivers == 1
    assert pieces.sliver_share.tolist() == pytest.approx([0.02])


def test_a_small_earlier_parcel_inside_a_large_one_is_no_sliver():
    pieces = lay(outlines(shapely.box(0, 0, 1000, 1000)), outlines(shapely.box(10, 10, 60, 60)), History())
    assert rows(pieces) == [(0, 0, 0.0025)]


def test_a_piece_below_the_area_is_dropped_unless_it_is_half_of_a_parcel():
    earlier = outlines(shapely.box(0, 0, 9, 9), shapely.box(100, 0, 109, 9))
    parcels = outlines(shapely.box(0, 0, 9, 40), shapely.box(106, 0, 120, 40))
    pieces = lay(parcels, earlier, History(sliver_share=0, sliver_area_m2=100))
    assert rows(pieces) == [(0, 0, 0.225)]
    assert pieces.slivers == 1


def test_where_earlier_parcels_overlap_the_larger_piece_gets_the_ground():
    pieces = lay(
        outlines(shapely.box(0, 0, 100, 100)), outlines(shapely.box(0, 0, 40, 100), shapely.box(30, 0, 100, 100))
    )
    assert rows(pieces) == [(0, 0, 0.3), (0, 1, 0.7)]
    assert pieces.overlap_share.tolist() == pytest.approx([0.1])


def test_of_equal_claims_the_first_in_order_stays():
    claim = shapely.box(-10, 0, 110, 100)
    pieces = lay(outlines(shapely.box(0, 0, 100, 100)), outlines(claim, shapely.box(-10, 0, 111, 100)))
    assert rows(pieces) == [(0, 0, 1.0)]
    assert pieces.overlap_share.tolist() == pytest.approx([1.0])


def test_outlines_that_meet_in_an_area_and_a_line_are_cut_like_others():
    hooked = shapely.Polygon([(100, 0), (200, 0), (200, 100), (50, 100), (50, 60), (100, 60)])
    pieces = lay(outlines(shapely.box(0, 0, 100, 100)), outlines(hooked, shapely.box(0, 0, 60, 100)))
    assert rows(pieces) == [(0, 0, 0.16), (0, 1, 0.6)]
    pieces = lay(outlines(shapely.box(0, 0, 100, 100)), outlines(hooked, shapely.box(40, 50, 60, 100)))
    assert rows(pieces) == [(0, 0, 0.2), (0, 1, 0.06)]


def test_nothing_in_gives_nothing_out():
    none = np.empty(0, dtype=object)
    assert rows(lay(none, outlines(shapely.box(0, 0, 1, 1)))) == []
    assert rows(lay(outlines(shapely.box(0, 0, 1, 1)), none)) == []


def test_areas_and_parcels_must_be_as_many():
    with pytest.raises(ValueError, match="1 parcels, but 2 areas"):
        overlay(outlines(shapely.box(0, 0, 1, 1)), np.ones(2), outlines(shapely.box(0, 0, 1, 1)), ALL)


@st.composite
def tiling(draw, origin=0.0):
    """Up to 9 quadrilaterals that share their corners, some of them missing."""
    corner = st.floats(-0.25, 0.25)
    grid = np.array([[[x + draw(corner), y + draw(corner)] for x in range(4)] for y in range(4)]) * 100 + origin
    cells = [
        shapely.Polygon([grid[y, x], grid[y, x + 1], grid[y + 1, x + 1], grid[y + 1, x]])
        for y in range(3)
        for x in range(3)
    ]
    present = draw(st.lists(st.sampled_from(range(9)), min_size=1, unique=True))
    return outlines(*(cells[number] for number in present))


def framed(geometries, name):
    return geopandas.GeoDataFrame({name: np.arange(len(geometries))}, geometry=list(geometries), crs=2154)


@settings(max_examples=60, deadline=None)
@given(tiling(), st.floats(-150, 150).flatmap(tiling))
def test_shares_are_those_of_a_plain_overlay(earlier, parcels):
    pieces = lay(parcels, earlier)
    plain = geopandas.overlay(
        framed(parcels, "parcel"), framed(earlier, "earlier"), how="intersection", keep_geom_type=False
    )
    expected = {(row.parcel, row.earlier): row.geometry.area / parcels[row.parcel].area for row in plain.itertuples()}
    found = dict(zip(zip(pieces.parcel.tolist(), pieces.earlier.tolist(), strict=True), pieces.share, strict=True))
    for pair in expected.keys() | found.keys():
        assert found.get(pair, 0.0) == pytest.approx(expected.get(pair, 0.0), abs=1e-8)
    union = [parcels[one].union(earlier[other]).area for one, other in zip(pieces.parcel, pieces.earlier, strict=True)]
    assert pieces.iou * union == pytest.approx(pieces.share * shapely.area(parcels)[pieces.parcel], abs=1e-3)


boxes = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 20)] * 2).map(
        lambda box: shapely.box(box[0], box[1], box[0] + box[2], box[1] + box[3])
    ),
    min_size=1,
    max_size=7,
).map(lambda found: outlines(*found))


@settings(max_examples=150, deadline=None)
@given(boxes, boxes)
def test_shares_add_up_to_what_is_covered_however_earlier_parcels_overlap(earlier, parcels):
    pieces = lay(parcels, earlier)
    total = np.bincount(pieces.parcel, weights=pieces.share, minlength=len(parcels))
    covered = shapely.area(shapely.intersection(parcels, shapely.union_all(earlier))) / shapely.area(parcels)
    assert total == pytest.approx(covered, abs=1e-8)
    assert (total <= 1 + 1e-12).all()
    assert ((pieces.share > 0) & (pieces.share <= 1) & (pieces.iou > 0) & (pieces.iou <= 1)).all()


@settings(max_examples=100, deadline=None)
@given(boxes, boxes)
def test_ground_goes_to_the_larger_piece_as_if_they_were_taken_one_by_one(earlier, parcels):
    expected = {}
    for row, parcel in enumerate(parcels):
        claims = [(parcel.intersection(other).area, number) for number, other in enumerate(earlier)]
        claims = [claim for claim in claims if claim[0] > 0]
        # An earlier parcel with the very outline comes before others that hold all of it too.
        twins = [number for number, other in enumerate(earlier) if other.equals(parcel)]
        taken = shapely.Polygon()
        for _, number in sorted(claims, key=lambda claim: (claim[1] not in twins, -claim[0], claim[1])):
            piece = parcel.intersection(earlier[number]).difference(taken)
            taken = taken.union(parcel.intersection(earlier[number]))
            if piece.area > 0:
                expected[row, number] = piece.area / parcel.area
    pieces = lay(parcels, earlier)
    found = dict(zip(zip(pieces.parcel.tolist(), pieces.earlier.tolist(), strict=True), pieces.share, strict=True))
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(boxes, boxes, st.randoms(use_true_random=False))
def test_a_parcel_gets_the_same_whatever_others_it_is_given_with(earlier, parcels, random):
    whole = lay(parcels, earlier, History(sliver_area_m2=5))
    one = random.randrange(len(parcels))
    alone = lay(parcels[[one]], earlier, History(sliver_area_m2=5))
    mine = whole.parcel == one
    assert whole.earlier[mine].tolist() == alone.earlier.tolist()
    assert whole.share[mine].tolist() == alone.share.tolist()
    assert whole.sliver_share[one] == alone.sliver_share[0]
