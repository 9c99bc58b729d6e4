from __future__ import annotations

from unittest import mock

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cropflow.errors import CropflowError
from cropflow.files import georows
from cropflow.files.georows import BoundsIndex, GeoRows
from cropflow.files.tables import write_table


def squares(count):
    return np.array([shapely.box(10 * number, 0, 10 * number + 8, 8) for number in range(count)], dtype=object)


@pytest.fixture
def written(tmp_path):
    """A file of squares in groups of four rows."""

    def write(count=10, crs="EPSG:2154"):
        path = tmp_path / "parcels.parquet"
        table = geopandas.GeoDataFrame(
            {"parcel_id": [f"p{number}" for number in range(count)]}, geometry=squares(count)
        )
        table.set_crs(crs).to_parquet(path, index=False, write_covering_bbox=True, row_group_size=4)
        return path

    return write


def test_rows_are_read_across_row_groups(written):
    rows = GeoRows(written())
    assert len(rows) == 10
    assert rows.crs.to_epsg() == 2154
    assert rows.bounds.tolist() == shapely.bounds(squares(10)).tolist()
    assert rows.column("parcel_id").tolist()[9] == "p9"
    wanted = np.array([0, 3, 4, 9])
    assert shapely.equals(shapely.from_wkb(rows.geometries(wanted)), squares(10)[wanted]).all()


def test_no_rows_are_no_outlines(written):
    assert GeoRows(written()).geometries(np.empty(0, dtype=np.int64)).tolist() == []


def test_row_groups_beyond_the_cache_are_read_again(written, monkeypatch):
    monkeypatch.setattr(georows, "CACHED_BYTES", 1)
    rows = GeoRows(written())
    for wanted in ([0, 9], [1, 5, 8], [0, 2]):
        found = shapely.from_wkb(rows.geometries(np.array(wanted)))
        assert shapely.equals(found, squares(10)[wanted]).all()
        assert len(rows._cache) == 1


def test_a_file_of_write_table_is_one(tmp_path):
    write_table(tmp_path / "a.parquet", geopandas.GeoDataFrame(geometry=squares(3), crs="EPSG:4326"))
    assert GeoRows(tmp_path / "a.parquet").crs.to_epsg() == 4326


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "missing"),
        (lambda path: path.write_bytes(b"PAR1 no"), "no parquet file"),
        (lambda path: pandas.DataFrame({"a": [1]}).to_parquet(path), "no GeoParquet file with a column"),
        (lambda path: geopandas.GeoDataFrame(geometry=squares(1), crs=2154).to_parquet(path), "bounding boxes"),
        (lambda path: write_table(path, geopandas.GeoDataFrame(geometry=squares(1))), "no CRS"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, make, told):
    path = tmp_path / "parcels.parquet"
    make(path)
    with pytest.raises(CropflowError, match=told):
        GeoRows(path)


def meet(bounds, box):
    return [
        row
        for row, (xmin, ymin, xmax, ymax) in enumerate(bounds)
        if xmin <= box[2] and xmax >= box[0] and ymin <= box[3] and ymax >= box[1]
    ]


many = arrays(np.float64, st.tuples(st.integers(0, 40), st.just(4)), elements=st.floats(0, 100)).map(
    lambda found: np.hstack([found[:, :2], found[:, :2] + found[:, 2:] / 10])
)


@given(many, many)
def test_the_index_finds_all_rows_that_meet_a_box_and_no_others(bounds, boxes):
    index = BoundsIndex(bounds)
    for box in boxes:
        assert index.meeting(box).tolist() == meet(bounds, box)


@pytest.mark.parametrize("spare", [0, 20_000])
@given(bounds=many, boxes=many.filter(len))
def test_no_row_that_meets_one_of_many_boxes_is_left_out(spare, bounds, boxes):
    with mock.patch.object(georows, "SPARE_ROWS", spare):
        found = BoundsIndex(bounds).meeting_any(boxes).tolist()
    assert found == sorted(set(found))
    assert set(found) >= {row for box in boxes for row in meet(bounds, box)}


def test_boxes_far_apart_do_not_bring_what_lies_between():
    x = np.arange(100_000.0)
    bounds = np.column_stack([x, x * 0, x + 0.5, x * 0 + 0.5])
    found = BoundsIndex(bounds).meeting_any(bounds[[0, 1, 99_998, 99_999]])
    assert found.tolist() == [0, 1, 99_998, 99_999]


def test_rows_without_bounds_are_never_found():
    bounds = np.array([[0, 0, 1, 1], [np.nan] * 4, [np.inf] * 4, [0, 0, np.inf, 1]])
    assert BoundsIndex(bounds).meeting(np.array([0.0, 0, 9, 9])).tolist() == [0]
