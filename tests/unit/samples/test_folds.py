from __future__ import annotations

import numpy as np
import pandas
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.sections import Folds
from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid
from cropflow.samples import assign_folds, block_fold
from cropflow.samples.blocks import block_size, blocks_of_sites, check_ring, check_zones, pixel_blocks, ring
from cropflow.samples.fold_summary import check_disjoint, summarise_folds
from cropflow.samples.labels import NO_FOLD, UNKNOWN
from cropflow.samples.parcels import gather, look_up_folds, place_in_blocks, shuffle_crops


def parcels_at(rows: list[tuple[float, float, int, float]], season: int = 0) -> pandas.DataFrame:
    """Parcels as ``gather`` returns them: x, y in blocks of 100 m, crop, hectares."""
    return pandas.DataFrame(
        {
            "season": season,
            "site": "here",
            "parcel_id": [f"{season}-{number}" for number in range(len(rows))],
            "epsg": 32631,
            "x": [100.0 * row[0] for row in rows],
            "y": [100.0 * row[1] for row in rows],
            "crop": np.array([row[2] for row in rows], dtype=np.uint16),
            "site_area_ha": [row[3] for row in rows],
        }
    )


def blocks_of(width: int, height: int) -> pandas.DataFrame:
    rows = [(32631, x, y) for x in range(width) for y in range(height)]
    return pandas.DataFrame(rows, columns=["epsg", "block_x", "block_y"])


SETTINGS = Folds(count=3, block_m=100, ring_m=20)


@st.composite
def landscapes(draw):
    width, height = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    point = st.tuples(
        st.floats(0, width - 0.01), st.floats(0, height - 0.01), st.sampled_from([0, 1, 1, 1, 2, 2, 3, UNKNOWN]),
        st.floats(0.1, 9),
    )  # fmt: skip
    rows = draw(st.lists(point, min_size=1, max_size=60))
    rows += [(0.5, 0.5, 1, 1.0), (1.5, 0.5, 1, 1.0), (0.5, 1.5, 2, 1.0)]
    return blocks_of(width, height), parcels_at(rows)


@settings(deadline=None, max_examples=60)
@given(landscapes(), st.randoms(use_true_random=False))
def test_each_block_has_one_fold_whatever_the_order_of_blocks_and_parcels(landscape, random):
    blocks, parcels = landscape
    table = assign_folds(blocks, parcels, SETTINGS, background=False)
    assert len(table) == len(blocks)
    assert not table.duplicated(["epsg", "block_x", "block_y"]).any()
    assert set(table.loc[table["parcels"] > 0, "fold"]) == {0, 1, 2}
    mixed = parcels.sample(frac=1, random_state=random.randrange(1000))
    again = assign_folds(blocks.sample(frac=1, random_state=random.randrange(1000)), mixed, SETTINGS, background=False)
    assert (again["fold"] == table["fold"]).all()
    known = parcels["crop"].isin([1, 2, 3])
    assert table["parcels"].sum() == known.sum()
    assert np.isclose(table["labelled_ha"].sum(), parcels.loc[known, "site_area_ha"].sum())


@pytest.mark.parametrize("seed", range(4))
def test_a_class_in_enough_blocks_is_in_every_fold_and_folds_are_of_like_size(seed: int):
    rng = np.random.default_rng(seed)
    count = 5
    rows = [
        (x + 0.5, y + 0.5, int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])), 1.0) for x in range(10) for y in range(10)
    ]
    # A rare class in exactly as many blocks as there are folds, its area very uneven.
    for place, area in zip(rng.choice(100, count, replace=False), (5.0, 0.1, 0.1, 0.1, 0.1), strict=True):
        rows.append((place // 10 + 0.2, place % 10 + 0.2, 4, area))
    parcels = parcels_at(rows)
    table = assign_folds(blocks_of(10, 10), parcels, Folds(count=count, block_m=100), background=False)
    placed = place_in_blocks(parcels, 100)
    placed["fold"] = look_up_folds(placed, table).to_numpy()
    for crop in (1, 2, 3, 4):
        assert set(placed.loc[placed["crop"] == crop, "fold"]) == set(range(count))
    area = placed[placed["crop"] < 4].groupby("fold")["site_area_ha"].sum()
    assert area.min() > 0.5 * area.max()


def test_a_block_has_the_same_fold_in_every_season():
    one = parcels_at([(x + 0.5, y + 0.5, 1 + (x + y) % 2, 1.0) for x in range(4) for y in range(4)])
    other = parcels_at([(x + 0.3, y + 0.6, 1 + x % 2, 1.0) for x in range(4) for y in range(4)], season=1)
    table = assign_folds(blocks_of(4, 4), pandas.concat([one, other], ignore_index=True), SETTINGS, background=False)
    assert table["parcels"].sum() == 32
    assert (table["parcels"] == 2).all()


def test_blocks_without_labels_have_a_fold_too():
    parcels = parcels_at([(0.5, 0.5, 1, 1.0), (1.5, 0.5, 1, 1.0), (2.5, 0.5, 1, 1.0), (3.5, 0.5, UNKNOWN, 1.0)])
    table = assign_folds(blocks_of(4, 3), parcels, SETTINGS, background=False)
    assert table["fold"].value_counts().tolist() == [4, 4, 4]
    assert table["parcels"].sum() == 3


def test_parcels_out_of_scope_count_only_as_background():
    rows = [(0.5, 0.5, 1, 1.0), (1.5, 0.5, 1, 1.0), (2.5, 0.5, 0, 1.0)]
    with pytest.raises(CropflowError, match="2 blocks of 100 m hold labelled parcels"):
        assign_folds(blocks_of(4, 1), parcels_at(rows), SETTINGS, background=False)
    assert assign_folds(blocks_of(4, 1), parcels_at(rows), SETTINGS, background=True)["parcels"].sum() == 3


def test_too_few_blocks_name_the_block_size_that_would_do():
    rows = [(0.1, 0.1, 1, 1.0), (0.6, 0.1, 1, 1.0), (0.1, 0.6, 1, 1.0)]
    with pytest.raises(CropflowError, match=r"1 blocks of 100 m .* Lower folds.block_m, to 50 for example"):
        assign_folds(blocks_of(1, 1), parcels_at(rows), SETTINGS, background=False)
    with pytest.raises(CropflowError, match=r"Add sites, or lower folds.count"):
        assign_folds(blocks_of(1, 1), parcels_at(rows[:1]), SETTINGS, background=False)


def test_the_summary_names_rare_and_absent_classes_and_distances():
    rows = [(x + 0.5, 0.5, 1, 2.0) for x in range(4)] + [(0.5, 0.6, 7, 1.0)]
    parcels = parcels_at(rows)
    table = assign_folds(blocks_of(4, 1), parcels, SETTINGS, background=False)
    summary = summarise_folds(table, parcels, SETTINGS, background=False)
    assert summary["rare_classes"] == [7]
    assert summary["classes"]["7"] == {"blocks": 1, "parcels": 1, "hectares": 1.0, "folds": [int(table["fold"][0])]}
    assert sum(7 in fold["absent_classes"] for fold in summary["folds"]) == 2
    assert sum(fold["parcels"] for fold in summary["folds"]) == summary["parcels"]["labelled"] == 5
    assert sum(fold["hectares"] for fold in summary["folds"]) == pytest.approx(9)
    assert min(fold["nearest_other_fold_m"]["minimum"] for fold in summary["folds"]) == pytest.approx(100, abs=1)


def fold_table(width: int = 4, height: int = 4, block_m: float = 100.0) -> pandas.DataFrame:
    table = blocks_of(width, height).assign(block_m=block_m)
    table["fold"] = ((table["block_x"] + 2 * table["block_y"]) % 3).astype(np.uint8)
    return table


@pytest.mark.parametrize("block_m", [100.0, 64.0, 45.0])
def test_each_pixel_has_the_fold_of_the_block_of_its_centre(block_m: float):
    grid = Grid(32631, 30.0, 370.0, 30, 20, 10.0)
    folds = fold_table(9, 9, block_m)
    found = block_fold(grid, folds)
    lookup = {(x, y): fold for x, y, fold in zip(folds["block_x"], folds["block_y"], folds["fold"], strict=True)}
    for row, column in np.ndindex(grid.shape):
        x, y = 30 + 10 * (column + 0.5), 370 - 10 * (row + 0.5)
        assert found[row, column] == lookup[int(x // block_m), int(y // block_m)]


def test_blocks_are_the_same_ground_in_every_site():
    folds = fold_table()
    whole = Grid(32631, 0.0, 400.0, 40, 40, 10.0)
    part = whole.window(13, 7, 20, 25)
    np.testing.assert_array_equal(block_fold(part, folds), block_fold(whole, folds)[13:33, 7:32])
    np.testing.assert_array_equal(ring(part, folds, 20), ring(whole, folds, 20)[13:33, 7:32])


def test_pixels_without_a_block_have_no_fold():
    grid = Grid(32631, -100.0, 400.0, 10, 20, 10.0)
    found = block_fold(grid, fold_table())
    assert (found[:, :10] == NO_FOLD).all()
    assert (found[:, 10:] != NO_FOLD).all()
    assert (block_fold(Grid(32632, 0.0, 400.0, 4, 4, 10.0), fold_table()) == NO_FOLD).all()


@pytest.mark.parametrize("ring_m", [0.0, 15.0, 20.0, 35.0])
def test_the_ring_is_what_lies_near_a_block_of_another_fold(ring_m: float):
    grid = Grid(32631, 0.0, 400.0, 40, 40, 10.0)
    folds = fold_table()
    own = block_fold(grid, folds)
    found = ring(grid, folds, ring_m)
    squares = shapely.box(*(100.0 * folds[name] for name in ("block_x", "block_y")),
                          *(100.0 * folds[name] + 100 for name in ("block_x", "block_y")))  # fmt: skip
    for row, column in np.ndindex(grid.shape):
        point = shapely.Point(10 * (column + 0.5), 400 - 10 * (row + 0.5))
        others = squares[(folds["fold"] != own[row, column]).to_numpy()]
        assert found[row, column] == (shapely.distance(others, point).min() < ring_m)


def test_there_is_no_ring_between_blocks_of_one_fold():
    folds = fold_table()
    folds["fold"] = np.uint8(1)
    assert not ring(Grid(32631, 0.0, 400.0, 40, 40, 10.0), folds, 20).any()


def test_a_ring_that_leaves_nothing_of_a_block_is_refused():
    with pytest.raises(CropflowError, match=r"folds.ring_m is 50 m .* folds.block_m is 100 m"):
        check_ring(50, 100)


def test_a_table_of_two_block_sizes_is_refused():
    folds = fold_table()
    folds.loc[0, "block_m"] = 50
    with pytest.raises(CropflowError, match="blocks of 2 sizes"):
        block_size(folds)


def test_blocks_of_sites_are_those_that_hold_a_pixel():
    grid = Grid(32631, 90.0, 200.0, 10, 12, 10.0)
    blocks = blocks_of_sites({"a": grid, "b": grid}, 100)
    assert blocks[["block_x", "block_y"]].to_numpy().tolist() == [[0, 1], [1, 1], [2, 1]]
    columns, rows = pixel_blocks(grid, 100)
    assert columns.tolist() == [0] + [1] * 10 + [2]
    assert rows.tolist() == [1] * 10


def test_blocks_left_of_the_origin_are_whole():
    columns, _ = pixel_blocks(Grid(32631, -20.0, 10.0, 1, 4, 10.0), 100)
    assert columns.tolist() == [-1, -1, 0, 0]


def test_sites_of_two_zones_on_one_ground_are_refused():
    to_32 = pyproj.Transformer.from_crs(32631, 32632, always_xy=True)
    x, y = (round(value, -1) for value in to_32.transform(740000, 4920000))
    one = Grid(32631, 739500.0, 4920500.0, 100, 100, 10.0)
    other = Grid(32632, x - 500, y + 500, 100, 100, 10.0)
    with pytest.raises(CropflowError, match=r"share .* ha; expected sites of different UTM zones apart"):
        check_zones({"one": one, "other": other})
    check_zones({"one": one, "far": Grid(32632, 400000.0, 4920500.0, 100, 100, 10.0)})


def test_parcels_on_both_sides_of_a_border_share_no_ground_that_is_used(parcel_table):
    table = parcel_table([shapely.box(50, 10, 120, 90), shapely.box(80, 20, 150, 80), shapely.box(10, 10, 40, 40)])
    folds = fold_table()
    fold = np.array([0, 1, 0], dtype=np.uint8)
    check_disjoint(table, fold, folds)
    # The same block in two folds is what must never happen.
    doubled = pandas.concat([folds, folds.assign(fold=(folds["fold"] + 1) % 3)], ignore_index=True)
    with pytest.raises(RuntimeError, match="1 pairs of parcels of different folds share ground"):
        check_disjoint(table, fold, doubled)
    check_disjoint(table.iloc[:0], fold[:0], folds)


def test_a_parcel_cut_by_two_sites_belongs_to_the_block_of_its_larger_part(parcel_table):
    small, large = parcel_table([shapely.box(90, 0, 100, 50)]), parcel_table([shapely.box(100, 0, 180, 50)])
    crops = pandas.Series(np.array([3], np.uint16), index=["p000"])
    table = place_in_blocks(gather({"left": small, "right": large}, crops), 100)
    assert table["block_x"].tolist() == [1, 1]
    assert table["site"].tolist() == ["left", "right"]


def test_a_parcel_without_a_crop_is_refused(parcel_table):
    with pytest.raises(CropflowError, match="1 of 1 parcels of the sites have no row in the table of crops"):
        gather({"a": parcel_table([shapely.box(0, 0, 9, 9)])}, pandas.Series(np.array([3], np.uint16), index=["other"]))


def test_a_parcel_in_a_block_without_a_fold_is_refused():
    placed = place_in_blocks(parcels_at([(7.5, 7.5, 1, 1.0)]), 100)
    with pytest.raises(CropflowError, match="1 of 1 parcels lie in blocks without a fold"):
        look_up_folds(placed, fold_table())


def test_shuffled_crops_keep_their_numbers_and_parts_of_a_parcel_agree():
    rows = [(0, 0, crop, 1.0) for crop in [1] * 20 + [2] * 10 + [0] * 5 + [UNKNOWN] * 3]
    parcels = parcels_at(rows)
    parcels.loc[1, "parcel_id"] = parcels.loc[0, "parcel_id"]
    dealt = shuffle_crops(parcels, background=False)
    assert dealt[0] == dealt[1]
    assert (dealt != parcels["crop"]).any()
    assert (dealt[30:] == parcels["crop"][30:]).all()
    assert sorted(dealt[1:]) == sorted(parcels["crop"][1:])
    assert (dealt == shuffle_crops(parcels, background=False)).all()
    assert not (shuffle_crops(parcels, background=True)[30:35] == 0).all()
