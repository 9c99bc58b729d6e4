from __future__ import annotations

import math

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.registers import Cleaning
from cropflow.errors import CropflowError
from cropflow.labels.outlines import repair
from cropflow.labels.parcels import REASONS, clean, stripped, unique_ids

ANYTHING = Cleaning(minimum_area_m2=0, minimum_width_m=0)


def hectares(part):
    return round(part["hectares"] * 1e6)


def assert_adds_up(summary):
    kept, dropped, read = summary["kept"], summary["dropped"].values(), summary["read"]
    assert read["parcels"] == kept["parcels"] + sum(part["parcels"] for part in dropped)
    assert hectares(read) == hectares(kept) + sum(hectares(part) for part in dropped)
    codes = summary["codes"].values()
    assert kept["parcels"] == sum(part["parcels"] for part in codes)
    assert hectares(kept) == sum(hectares(part) for part in codes)


def test_a_sound_parcel_stays_as_it_is(register, square):
    parcels, summary = clean(register(("1", "BTH", square(0))))
    assert list(parcels.columns) == ["parcel_id", "crop_code", "area_ha", "geometry"]
    assert parcels.geometry.iloc[0].equals(square(0))
    assert parcels.crs == "EPSG:2154"
    # Lambert-93 shrinks by 0.09 % here, so the ellipsoid has more than the planar hectare.
    assert 1.0005 < parcels["area_ha"].iloc[0] < 1.003
    assert summary["kept"] == summary["read"]
    assert summary["dropped"] == {}
    assert summary["repaired"] == 0


def test_every_reason_to_drop_is_counted_in_parcels_and_hectares(register, square):
    strip = shapely.box(700_000, 6_700_000, 700_001.5, 6_701_000)
    with np.errstate(invalid="ignore"):
        nan = shapely.Polygon([(0, 0), (1, math.nan), (1, 1)])
    parcels, summary = clean(
        register(
            ("01", "BTH", square(0)),
            ("02", None, square(1)),
            ("03", "  ", square(2)),
            ("04", "BTH", None),
            ("05", "BTH", shapely.Polygon()),
            ("06", "BTH", nan),
            ("07", "BTH", shapely.Point(700_000, 6_600_000)),
            ("08", "BTH", square(3, side_m=5)),
            ("09", "BTH", strip),
            ("10", "BTH", square(0)),
            ("11", "MIS", square(0)),
        )
    )
    assert parcels["parcel_id"].tolist() == ["01"]
    assert {reason: part["parcels"] for reason, part in summary["dropped"].items()} == {
        "no_code": 2, "empty": 2, "not_finite": 1, "not_polygon": 1, "too_small": 1, "sliver": 1,
        "duplicate": 1, "conflicting": 1,
    }  # fmt: skip
    assert set(summary["dropped"]) == set(REASONS)
    assert summary["dropped"]["no_code"]["hectares"] == pytest.approx(2.0, rel=0.01)
    assert summary["dropped"]["conflicting"]["hectares"] == parcels["area_ha"].iloc[0]
    assert_adds_up(summary)


def test_the_literal_code_na_is_a_code(register, square):
    parcels, summary = clean(register(("1", "NA", square(0)), ("2", "nan", square(1))))
    assert sorted(parcels["crop_code"]) == ["NA", "nan"]
    assert list(summary["codes"]) == ["NA", "nan"]


def test_a_bow_tie_keeps_both_wings(register):
    bow_tie = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])
    bow_tie = shapely.affinity.translate(bow_tie, 700_000, 6_600_000)
    parcels, summary = clean(register(("1", "BTH", bow_tie)))
    assert summary["repaired"] == 1
    assert parcels.geometry.is_valid.all()
    assert parcels.geometry.area.sum() == pytest.approx(5_000)


def test_overlapping_parts_of_a_parcel_are_merged_and_not_cut_out():
    parts = shapely.MultiPolygon([shapely.box(0, 0, 10, 10), shapely.box(5, 0, 15, 10)])
    mended, touched = repair(np.array([parts], dtype=object))
    assert touched.tolist() == [True]
    assert mended[0].equals(shapely.box(0, 0, 15, 10))


def test_a_collection_is_reduced_to_its_polygons():
    inner = shapely.GeometryCollection([shapely.box(20, 0, 30, 10), shapely.Point(5, 5)])
    mixed = shapely.GeometryCollection([shapely.box(0, 0, 10, 10), shapely.LineString([(0, 0), (9, 9)]), inner])
    mended, touched = repair(np.array([mixed], dtype=object))
    assert touched.tolist() == [True]
    assert mended[0].geom_type == "MultiPolygon"
    assert mended[0].area == 200


def test_a_collection_of_points_alone_is_no_parcel(register, square):
    points = shapely.GeometryCollection([shapely.Point(5, 5)])
    _, summary = clean(register(("1", "BTH", square(0)), ("2", "BTH", points)))
    assert summary["dropped"]["not_polygon"]["parcels"] == 1


def test_heights_are_cut_off(register):
    shape = shapely.force_3d(shapely.box(700_000, 6_600_000, 700_100, 6_600_100), 12.0)
    parcels, _ = clean(register(("1", "BTH", shape)))
    assert not parcels.geometry.has_z.any()


def test_an_outline_that_starts_elsewhere_or_turns_around_is_a_duplicate(register):
    corners = [(700_000, 6_600_000), (700_100, 6_600_000), (700_100, 6_600_100), (700_000, 6_600_100)]
    other = [*corners[2:], *corners[:2]][::-1]
    parcels, summary = clean(register(("b", "BTH", shapely.Polygon(other)), ("a", "BTH", shapely.Polygon(corners))))
    assert parcels["parcel_id"].tolist() == ["a"]
    assert summary["dropped"]["duplicate"]["parcels"] == 1


def test_parcels_with_equal_bounds_but_other_outlines_are_no_duplicates(register):
    box = shapely.box(700_000, 6_600_000, 700_100, 6_600_100)
    corner = shapely.Polygon([(700_000, 6_600_000), (700_100, 6_600_000), (700_100, 6_600_100)])
    parcels, _ = clean(register(("1", "BTH", box), ("2", "BTH", corner)))
    assert len(parcels) == 2


def test_slivers_are_judged_in_metres_in_any_crs(register):
    field = shapely.box(3.0, 47.0, 3.001, 47.001)
    strip = shapely.box(3.01, 47.0, 3.01002, 47.01)
    lonlat = register(("field", "BTH", field), ("strip", "BTH", strip), crs="EPSG:4326")
    for crs in ("EPSG:4326", "EPSG:3857", "EPSG:32631"):
        parcels, summary = clean(lonlat.to_crs(crs), Cleaning(minimum_width_m=2))
        assert parcels["parcel_id"].tolist() == ["field"], crs
        assert summary["dropped"]["sliver"]["parcels"] == 1


def test_zero_thresholds_keep_slivers(register):
    strip = shapely.box(700_000, 6_700_000, 700_000.5, 6_701_000)
    parcels, _ = clean(register(("1", "BTH", strip)), ANYTHING)
    assert len(parcels) == 1


def test_parcels_that_share_an_id_are_told_apart(register, square):
    parcels, summary = clean(register(("7", "A", square(0)), ("7", "B", square(1)), ("7#2", "C", square(2))))
    assert sorted(parcels["parcel_id"]) == ["7", "7#2", "7#3"]
    assert summary["renamed"] == 1


def test_unique_ids_are_left_alone():
    ids = pandas.Series(["b", "a", "c"], dtype="str")
    assert unique_ids(ids).equals(ids)


def test_the_order_of_the_file_does_not_matter(register, square):
    rows = [(str(number), "BTH", square(number)) for number in range(20)]
    forwards, backwards = clean(register(*rows))[0], clean(register(*rows[::-1]))[0]
    pandas.testing.assert_frame_equal(forwards, backwards)


def test_neighbours_lie_close_in_the_table(register):
    shapes = [shapely.box(x * 200, y * 200, x * 200 + 100, y * 200 + 100) for y in range(8) for x in range(8)]
    rows = [(str(number), "BTH", shape) for number, shape in enumerate(shapes)]
    middle = clean(register(*rows, crs="EPSG:32631"), ANYTHING)[0].geometry.centroid
    steps = np.hypot(np.diff(middle.x), np.diff(middle.y))
    assert steps.mean() < 300


def test_metres_declared_as_degrees_stop_with_the_reason(register, square):
    with pytest.raises(CropflowError, match=r"No parcel of 1 is left \(not_finite: 1\).*CRS"):
        clean(register(("1", "BTH", square(0)), crs="EPSG:4326"))


def test_an_empty_register_stops(register):
    with pytest.raises(CropflowError, match="0 parcels"):
        clean(geopandas.GeoDataFrame({"parcel_id": [], "crop_code": []}, geometry=[], crs=2154))


def test_invisible_blanks_are_stripped():
    codes = pandas.Series([" A", "B\u00a0", "\ufeffC", "\u200b D ", None], dtype="str")
    assert stripped(codes)[:4].tolist() == ["A", "B", "C", "D"]
    assert stripped(codes).isna().tolist() == [False] * 4 + [True]


coordinate = st.integers(0, 12).map(lambda step: 700_000.0 + 7.0 * step)
ring = st.lists(st.tuples(coordinate, coordinate.map(lambda x: x + 5_900_000)), min_size=3, max_size=7)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.tuples(ring, st.sampled_from(["A", "B", " ", None])), min_size=1, max_size=8))
def test_whatever_comes_in_parcels_and_hectares_add_up(rows):
    table = geopandas.GeoDataFrame(
        {
            "parcel_id": pandas.Series([str(number) for number in range(len(rows))], dtype="str"),
            "crop_code": pandas.Series([code for _, code in rows], dtype="str"),
        },
        geometry=[shapely.Polygon(corners) for corners, _ in rows],
        crs=2154,
    )
    try:
        parcels, summary = clean(table)
    except CropflowError:
        return
    assert_adds_up(summary)
    assert parcels.geometry.is_valid.all()
    assert set(parcels.geom_type) <= {"Polygon", "MultiPolygon"}
    assert parcels["area_ha"].min() * 10_000 >= 100
    assert parcels["parcel_id"].is_unique
