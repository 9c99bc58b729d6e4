from __future__ import annotations

import geopandas
import numpy as np
import pandas
import pyarrow.parquet
import pytest
import shapely

from cropflow.errors import CropflowError
from cropflow.files.tables import ROW_GROUP, column_names, read_table, write_parts, write_table


def test_parts_are_one_table_in_their_order(tmp_path):
    parts = [pandas.DataFrame({"a": [2, 1], "b": ["x", "y"]}), pandas.DataFrame({"a": [0], "b": ["z"]})]
    path = tmp_path / "new" / "table.parquet"
    write_parts(path, iter(parts))
    assert read_table(path).to_dict("list") == {"a": [2, 1, 0], "b": ["x", "y", "z"]}
    assert read_table(path, ["b"]).columns.tolist() == ["b"]
    assert column_names(path) == ["a", "b"]


def test_the_same_parts_give_the_same_bytes(tmp_path):
    parts = [pandas.DataFrame({"a": [2, 1]}), pandas.DataFrame({"a": [0]})]
    for name in ("one", "two"):
        write_parts(tmp_path / name, parts)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_part_that_fails_leaves_no_file(tmp_path):
    def parts():
        yield pandas.DataFrame({"a": [1]})
        raise CropflowError("the second part is wrong")

    with pytest.raises(CropflowError, match="second part"):
        write_parts(tmp_path / "table.parquet", parts())
    assert list(tmp_path.iterdir()) == []


def test_no_parts_or_parts_of_other_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no table"):
        write_parts(tmp_path / "table.parquet", [])
    with pytest.raises(ValueError, match="schema"):
        write_parts(tmp_path / "table.parquet", [pandas.DataFrame({"a": [1]}), pandas.DataFrame({"b": [1]})])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_foreign_file_is_one_line(tmp_path):
    with pytest.raises(CropflowError, match="missing"):
        column_names(tmp_path / "table.parquet")
    (tmp_path / "table.parquet").write_text("no table")
    for read in (column_names, read_table):
        with pytest.raises(CropflowError, match=r"no \(Geo\)Parquet file"):
            read(tmp_path / "table.parquet")


def test_outlines_are_written_in_small_row_groups_and_rows_without_in_one(tmp_path):
    rows = ROW_GROUP + 5
    table = pandas.DataFrame({"row": np.arange(rows)})
    write_table(tmp_path / "plain.parquet", table)
    places = geopandas.GeoDataFrame(table, geometry=shapely.points(np.arange(rows), 0.0), crs="EPSG:2154")
    write_table(tmp_path / "places.parquet", places)
    groups = [
        pyarrow.parquet.read_metadata(tmp_path / name).num_row_groups for name in ("plain.parquet", "places.parquet")
    ]
    assert groups == [1, 2]


def test_a_table_without_a_column_names_those_that_it_has(tmp_path):
    write_table(tmp_path / "table.parquet", pandas.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(CropflowError, match=r"table.parquet lacks the columns c; it has: a, b. .* run that rule again"):
        read_table(tmp_path / "table.parquet", ["a", "c"])
