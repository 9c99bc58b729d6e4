from __future__ import annotations

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.labels.parcels import clean
from cropflow.labels.registers import read_register
from cropflow.labels.registers.points import squares


@settings(max_examples=50, deadline=None)
@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(1, 1000))
@example(-180.0, 0.0, 1.0)
@example(180.0, 16.5, 30.0)
def test_a_square_has_the_area_of_its_side_anywhere(longitude, latitude, side_m):
    square = squares(geopandas.GeoSeries([shapely.Point(longitude, latitude)], crs="EPSG:4326"), side_m)
    assert ellipsoidal_area_ha(square)[0] * 10_000 == pytest.approx(side_m**2, rel=1e-4)
    centroid = square.iloc[0].centroid
    assert (centroid.x, centroid.y) == (pytest.approx(longitude, abs=1e-6), pytest.approx(latitude, abs=1e-4))


@pytest.mark.parametrize("crs", ["EPSG:32639", "EPSG:3857", "EPSG:4326", "EPSG:2154"])
def test_squares_come_in_the_crs_of_the_points(crs):
    points = geopandas.GeoSeries([shapely.Point(51.0, 35.0), shapely.Point(51.5, 35.5)], crs="EPSG:4326").to_crs(crs)
    found = squares(points.set_axis([3, 4]), 10)
    assert found.crs == crs
    assert found.index.tolist() == [3, 4]
    assert shapely.within(points.to_numpy(), found.to_numpy()).all()
    assert ellipsoidal_area_ha(found) * 10_000 == pytest.approx(np.full(2, 100.0), rel=1e-4)


def test_what_is_no_point_stays_as_it_is():
    others = [
        shapely.box(0, 0, 1, 1),
        shapely.LineString([(0, 0), (1, 1)]),
        shapely.MultiPoint([(0, 0), (1, 1)]),
        shapely.Point(),
        shapely.Point(np.nan, 1),
        None,
    ]
    found = squares(geopandas.GeoSeries(others, crs="EPSG:4326"), 10).to_numpy()
    assert [shapely.to_wkt(geometry) for geometry in found] == [shapely.to_wkt(geometry) for geometry in others]


def test_a_multi_point_of_one_and_a_point_with_a_height_are_points():
    points = [shapely.MultiPoint([(51, 35)]), shapely.Point(51, 35, 1200)]
    found = squares(geopandas.GeoSeries(points, crs="EPSG:4326"), 10)
    assert set(found.geom_type) == {"Polygon"}
    assert not found.has_z.any()
    assert found.iloc[0].equals(found.iloc[1])


@pytest.fixture
def point_register(tmp_path):
    points = [shapely.Point(51, 35), shapely.Point(51.1, 35.1), shapely.Point(51.1, 35.1)]
    table = geopandas.GeoDataFrame({"crop": ["a", "b", "b"]}, geometry=points, crs="EPSG:4326")
    pyogrio.write_dataframe(table, tmp_path / "points.gpkg")
    return tmp_path / "points.gpkg"


def entry(**more):
    return {"reader": "vector", "columns": {"crop_code": "crop"}, "files": {"2022": {"path": "x"}}, **more}


def test_a_register_of_points_becomes_parcels_where_the_settings_say_so(point_register):
    register = parse(Register, entry(points={"side_m": 10}))
    parcels, summary = clean(read_register(point_register, "2022", register), register.cleaning)
    assert parcels["crop_code"].tolist() == ["a", "b"]
    assert parcels["area_ha"].tolist() == pytest.approx([0.01, 0.01], rel=1e-4)
    assert summary["dropped"]["duplicate"]["parcels"] == 1


def test_points_are_dropped_and_counted_without_it(point_register):
    register = parse(Register, entry())
    with pytest.raises(CropflowError, match=r"No parcel of 3 is left \(not_polygon: 3\)"):
        clean(read_register(point_register, "2022", register), register.cleaning)


def test_squares_that_cleaning_would_drop_are_refused():
    with pytest.raises(CropflowError, match=r"points.side_m 9 gives squares below cleaning.minimum_area_m2 100"):
        parse(Register, entry(points={"side_m": 9}))
    parse(Register, entry(points={"side_m": 9}, cleaning={"minimum_area_m2": 81}))


def test_points_of_a_real_register_of_samples(shared):
    rows = pandas.read_parquet(
        shared / "data/lpis_points_france_2022/month_2022_FRA_LPIS_POLY_110.geoparquet",
        columns=["sample_id", "geometry"],
    ).drop_duplicates("sample_id")
    points = geopandas.GeoSeries.from_wkb(rows["geometry"], crs="EPSG:4326")
    found = squares(points, 10)
    assert len(found) == 500
    assert ellipsoidal_area_ha(found) * 10_000 == pytest.approx(np.full(500, 100.0), rel=1e-4)
