from __future__ import annotations

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from cropflow.errors import CropflowError
from cropflow.labels.provinces import province_of, read_provinces


def layer(names=("Ilam", "Fars"), column="province"):
    boxes = [shapely.box(number, 0, number + 1, 1) for number in range(len(names))]
    return geopandas.GeoDataFrame({column: names}, geometry=boxes, crs="EPSG:4326")


@pytest.fixture
def written(tmp_path):
    def write(table):
        pyogrio.write_dataframe(table.to_crs("EPSG:3857"), tmp_path / "provinces.shp")
        return tmp_path / "provinces.shp"

    return write


def test_the_centroid_decides_in_whatever_crs_the_layer_is(written):
    provinces = read_provinces(written(layer()), "province")
    assert provinces.crs == "EPSG:3857"
    parcels = geopandas.GeoSeries(
        [shapely.box(0.4, 0.4, 0.6, 0.6), shapely.box(0.9, 0.4, 1.4, 0.6), shapely.box(5, 5, 6, 6)], crs="EPSG:4326"
    ).set_axis([7, 8, 9])
    found = province_of(parcels, provinces)
    assert found.index.tolist() == [7, 8, 9]
    assert found[[7, 8]].tolist() == ["Ilam", "Fars"]
    assert found.isna().tolist() == [False, False, True]
    moved = province_of(parcels.to_crs("EPSG:32631"), provinces)
    assert moved[[7, 8]].tolist() == ["Ilam", "Fars"]


def test_a_parcel_on_a_border_lies_in_one_province():
    found = province_of(geopandas.GeoSeries([shapely.Point(1, 0.5)], crs="EPSG:4326"), layer())
    assert found.tolist() == ["Ilam"]


def test_invalid_outlines_have_a_province_and_useless_ones_none():
    bow_tie = shapely.Polygon([(0.2, 0.2), (0.4, 0.4), (0.4, 0.2), (0.2, 0.4)])
    useless = [None, shapely.Polygon(), shapely.Point(np.nan, 1)]
    found = province_of(geopandas.GeoSeries([bow_tie, *useless], crs="EPSG:4326"), layer())
    assert found.isna().tolist() == [False, True, True, True]
    assert found[0] == "Ilam"


def test_names_occur_once(written):
    with pytest.raises(CropflowError, match=r"has 0 areas without a name and these names twice: Fars; expected one"):
        read_provinces(written(layer(("Fars", "Fars", "Ilam"))), "province")
    with pytest.raises(CropflowError, match=r"has 1 areas without a name and these names twice: none"):
        read_provinces(written(layer(("Fars", None))), "province")


def test_a_missing_column_or_layer_is_one_line(written, tmp_path):
    with pytest.raises(CropflowError, match=r"provinces.shp has no column 'province'; it has: name"):
        read_provinces(written(layer(column="name")), "province")
    with pytest.raises(CropflowError, match=r"does not exist; check registers.<name>.provinces.path"):
        read_provinces(tmp_path / "none.shp", "province")


def test_the_real_layer_has_31_provinces(shared):
    provinces = read_provinces(shared / "data/isrc_iran/files/Iran Provinces/Iran_Provinces.shp", "province")
    assert len(provinces) == 31
    assert provinces.crs == "EPSG:3857"
    tehran = province_of(geopandas.GeoSeries([shapely.Point(51.39, 35.69)], crs="EPSG:4326"), provinces)
    assert tehran.tolist() == ["Tehran"]
