from __future__ import annotations

import geopandas
import numpy as np
import pyarrow
import pyogrio
import pytest
import shapely

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.labels.registers import read_register
from cropflow.labels.registers.columns import as_text

BOXES = [shapely.box(x, 0, x + 1, 1) for x in range(3)]


def settings(crop_code="crop", parcel_id=None, layer=None):
    columns = {"crop_code": crop_code, "parcel_id": parcel_id}
    return parse(Register, {"reader": "vector", "files": {"2018": {"path": "x", "layer": layer}}, "columns": columns})


@pytest.fixture
def written(tmp_path):
    def write(file="parcels.gpkg", crs="EPSG:32631", layer=None, **columns):
        path = tmp_path / file
        table = geopandas.GeoDataFrame(columns, geometry=BOXES, crs=crs)
        pyogrio.write_dataframe(table, path, layer=layer, append=path.exists())
        return path

    return write


def test_codes_and_ids_are_text_and_na_survives(written):
    path = written(crop=["NA", None, " x"], id=[10, 20, 30])
    parcels = read_register(path, "2018", settings(parcel_id="id"))
    assert list(parcels.columns) == ["parcel_id", "crop_code", "geometry"]
    assert parcels["parcel_id"].tolist() == ["10", "20", "30"]
    assert parcels["crop_code"].isna().tolist() == [False, True, False]
    assert parcels["crop_code"][[0, 2]].tolist() == ["NA", " x"]
    assert parcels.crs == "EPSG:32631"


def test_rows_are_numbered_where_there_is_no_id(written):
    parcels = read_register(written(crop=["a", "b", "c"]), "2018", settings())
    assert parcels["parcel_id"].tolist() == ["1", "2", "3"]


def test_a_missing_id_becomes_the_row_number(written):
    parcels = read_register(written(crop=["a", "b", "c"], id=["x", None, "z"]), "2018", settings(parcel_id="id"))
    assert parcels["parcel_id"].tolist() == ["x", "row2", "z"]


def test_numeric_codes_carry_no_decimals(written):
    whole = read_register(written("a.gpkg", crop=[1200, 5100, 9120]), "2018", settings())
    gaps = read_register(written("b.gpkg", crop=[1200.0, np.nan, 9120.0]), "2018", settings())
    assert whole["crop_code"].tolist() == ["1200", "5100", "9120"]
    assert gaps["crop_code"][[0, 2]].tolist() == ["1200", "9120"]
    assert gaps["crop_code"].isna()[1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], ["1", "2"]),
        ([1.0, 2.5], ["1", "2.5"]),
        (["1.0", "NA"], ["1.0", "NA"]),
        ([True, False], ["True", "False"]),
        ([3301010101.0, 1e15], ["3301010101", "1000000000000000"]),
        ([1.0, float("nan"), None], ["1", None, None]),
        ([2**60 + 1, None], ["1152921504606846977", None]),
    ],
)
def test_text_of_values(values, expected):
    assert as_text(pyarrow.array(values)).to_pylist() == expected


def test_capitals_do_not_matter_where_a_name_is_clear(written):
    path = written(CROP=["a", "b", "c"])
    assert read_register(path, "2018", settings("crop"))["crop_code"].tolist() == ["a", "b", "c"]


def test_a_missing_column_lists_those_there_are(written):
    with pytest.raises(CropflowError, match=r"parcels.gpkg has no column 'code'; it has: crop, name\."):
        read_register(written(crop=["a"] * 3, name=["b"] * 3), "2018", settings("code"))


def test_a_layer_is_chosen_by_name(written):
    written(layer="one", crop=["1"] * 3)
    path = written(layer="two", crop=["2"] * 3)
    assert set(read_register(path, "2018", settings(layer="two"))["crop_code"]) == {"2"}
    with pytest.raises(CropflowError, match=r"no layer 'three'; it has: one, two"):
        read_register(path, "2018", settings(layer="three"))
    with pytest.raises(CropflowError, match=r"2 layers with geometry \(one, two\); name one"):
        read_register(path, "2018", settings())


def test_a_file_without_a_crs_is_refused(written):
    with pytest.raises(CropflowError, match=r"has no CRS|local CRS"):
        read_register(written("parcels.shp", crs=None, crop=["a"] * 3), "2018", settings())
    with pytest.raises(CropflowError, match=r"has no CRS|local CRS"):
        read_register(written("parcels.gpkg", crs=None, crop=["a"] * 3), "2018", settings())


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(CropflowError, match=r"none\.gpkg does not exist"):
        read_register(tmp_path / "none.gpkg", "2018", settings())


def test_a_folder_without_the_season_names_what_it_holds(tmp_path):
    (tmp_path / "RPG_2017.7z").touch()
    with pytest.raises(CropflowError, match=r"holds RPG_2017.7z; expected RPG_2018.7z"):
        read_register(tmp_path, "2018", settings())


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".txt"])
def test_a_file_that_is_no_vector_file_is_one_line(tmp_path, suffix):
    path = tmp_path / f"parcels{suffix}"
    path.write_bytes(b"this is no vector file" * 100)
    with pytest.raises(CropflowError, match="cannot be read as a vector file"):
        read_register(path, "2018", settings())


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_truncated_geopackage_is_never_read_in_part(tmp_path, shared, keep):
    whole = (shared / "data/rpg_2022_sample/PARCELLES_GRAPHIQUES_2022_sample.gpkg").read_bytes()
    path = tmp_path / "parcels.gpkg"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CropflowError):
        read_register(path, "2018", settings("code_cultu"))


def test_herault_has_120_parcels(shared):
    path = shared / "data/herault_2018/reference_data/france_data_2018.shp"
    parcels = read_register(path, "2018", settings("EC_hcat_n"))
    assert len(parcels) == 120
    assert parcels["crop_code"].value_counts()["vineyards_wine_vine_rebland_grapes"] == 62
    assert parcels["crop_code"].nunique() == 8


def test_flanders_has_19_parcels(shared):
    parcels = read_register(
        shared / "data/flanders_2018/parcels.gpkg", "2018", settings("crop_code", parcel_id="parcel_id")
    )
    assert len(parcels) == 19
    assert parcels["crop_code"].isin(["1200", "2130", "5100", "7900", "9120"]).all()


@pytest.mark.parametrize(
    ("pattern", "column"),
    [
        ("at/*.zip", "SNAR_CODE"),
        ("nl/*.gpkg", "gewascode"),
        ("br_ba_lem/*.zip", "Dec_2019"),
        ("es_cat/*.zip", "cultiu"),
        ("be_vlg/*.zip", "GWSCOD_H"),
    ],
)
def test_registers_of_other_countries_are_read_without_code_of_their_own(shared, pattern, column):
    (path,) = (shared / "data/rpg_2022_sample/other_lpis").glob(pattern)
    parcels = read_register(path, "2018", settings(column))
    assert len(parcels) >= 50
    assert parcels["crop_code"].notna().mean() > 0.9
    assert not parcels["crop_code"].dropna().str.endswith(".0").any()


def test_geoparquet_is_read_by_its_columns_as_a_layer_is(written, tmp_path):
    path = written(crop=["a", None, " x"], id=[10, 20, 30])
    geopandas.read_file(path).to_parquet(tmp_path / "parcels.parquet")
    found = [read_register(file, "2018", settings(parcel_id="id")) for file in (path, tmp_path / "parcels.parquet")]
    assert found[0].equals(found[1])
    with pytest.raises(CropflowError, match=r"parcels.parquet has no column 'no'; it has: crop, id"):
        read_register(tmp_path / "parcels.parquet", "2018", settings("no"))
